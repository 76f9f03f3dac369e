package attach

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/tsunagu-net/tsunagu/attach/delegate"
	"github.com/tsunagu-net/tsunagu/attach/primary"
)

// DefaultNetworkAnnotation of a Pod names the network that its first interface is on, in place of the cluster's (Multus).
const DefaultNetworkAnnotation = "v1.multus-cni.io/default-network"

// Primary is the network that the node had before, when Pods stay on it (primary.Follower).
type Primary interface {
	Conf() (primary.Conf, error)
}

// firstInterface is the Pod's interface on its default network: the one its annotation names, else the cluster's, else the network that
// the node had before, else tsunagu's own.
func (p planner) firstInterface(ctx context.Context, pod Pod, network, ifName string, devices *handout) (planned, error) {
	switch {
	case pod.DefaultNetwork != "":
		return p.namedInterface(ctx, pod, pod.DefaultNetwork, ifName, devices, false)
	case p.clusterNetwork != "":
		return p.namedInterface(ctx, pod, p.clusterNetwork, ifName, devices, true)
	case p.primary != nil:
		return p.primaryInterface(ifName)
	}
	return p.podInterface(network, ifName)
}

// namedInterface is on a network of a definition. Without a namespace it is one of kube-system, as with Multus. ByCluster tells that it is
// not the Pod that asks.
func (p planner) namedInterface(ctx context.Context, pod Pod, name, ifName string, devices *handout, byCluster bool) (planned, error) {
	selections, err := ParseSelections(name, p.everyPod.namespace())
	if err != nil {
		return planned{}, fmt.Errorf("default network: %w", err)
	}
	if len(selections) != 1 {
		return planned{}, refusef(ReasonBadSelection, "name one network", "annotation %s: %d networks are named, and a Pod has one default network", DefaultNetworkAnnotation, len(selections))
	}
	s := selections[0]
	s.Index, s.IfName, s.WantsDefault, s.ByCluster = 0, ifName, true, byCluster
	one, err := p.resolve(ctx, pod, s, devices)
	if err != nil {
		return one, fmt.Errorf("default network %s (%s): %w", s.Network(), ifName, err)
	}
	one.keep = p.podNetwork.Prefixes()
	return one, nil
}

// primaryInterface is on the network that the node had before, made by its own plugins.
func (p planner) primaryInterface(ifName string) (planned, error) {
	one := planned{sel: Selection{IfName: ifName, WantsDefault: true}, keep: p.podNetwork.Prefixes()}
	c, err := p.primary.Conf()
	if err != nil {
		return one, notReady("the node's own network is to stay, and "+err.Error(), "install that network's CNI configuration on the node; the call is repeated")
	}
	if one.net, err = primaryNetwork(c); err != nil {
		return one, fmt.Errorf("the node's own network (%s): %w", c.File, err)
	}
	return one, nil
}

func primaryNetwork(c primary.Conf) (Network, error) {
	n, err := parseDefinition(Definition{Name: c.Name, Config: c.Text, Binaries: true}, delegate.Asked{})
	n.Ref = c.Name
	return n, err
}

// fromDisk finds the configuration of a definition without one in the files of the node: the first whose "name" is the definition's.
func (p planner) fromDisk(d *Definition) error {
	if strings.TrimSpace(d.Config) != "" {
		return nil
	}
	var looked []string
	for _, dir := range p.files {
		c, err := primary.Find(dir, func(c primary.Conf) bool { return c.Name == d.Name })
		if err == nil {
			d.Config, d.OnDisk = c.Text, true
			return nil
		}
		looked = append(looked, err.Error())
	}
	return refusef(ReasonEmptyConfig, fmt.Sprintf(`put the CNI configuration into spec.config, or a file with "name": %q on every node`, d.Name),
		"network-attachment-definition %s has no spec.config, and no file of this node is named %q: %s", d, d.Name, strings.Join(looked, "; "))
}

// primaryStatus asks the plugins of the node's own network whether they could attach a Pod.
func (s *Server) primaryStatus(ctx context.Context, path []string) error {
	if name := s.planner.clusterNetwork; name != "" {
		return s.clusterStatus(ctx, name, path)
	}
	if s.Primary == nil {
		return nil
	}
	c, err := s.Primary.Conf()
	if err != nil {
		return notReady("the node's own network is to stay, and "+err.Error(), "install that network's CNI configuration on the node")
	}
	n, err := primaryNetwork(c)
	if err != nil {
		return err
	}
	return s.networkStatus(ctx, "the node's own network "+n.Name, n, path)
}

// clusterStatus asks the plugins of others of the definition that all Pods are on. One that cannot be found now is an ADD's to tell.
func (s *Server) clusterStatus(ctx context.Context, name string, path []string) error {
	selections, err := ParseSelections(name, s.planner.everyPod.namespace())
	if err != nil || len(selections) != 1 {
		return nil
	}
	d, err := s.Definitions.Definition(ctx, selections[0].Namespace, selections[0].Name)
	if err == nil {
		err = s.planner.fromDisk(&d)
	}
	if err != nil {
		return nil
	}
	n, err := parseDefinition(d, delegate.Asked{})
	if err != nil {
		return err
	}
	return s.networkStatus(ctx, "the cluster's network "+n.Ref, n, path)
}

func (s *Server) networkStatus(ctx context.Context, what string, n Network, path []string) error {
	steps := n.Steps
	if n.Giver != nil {
		steps = append([]Step{*n.Giver}, steps...)
	}
	for _, step := range steps {
		if !step.Foreign {
			continue
		}
		call := delegate.Call{Type: step.Type, Config: step.Raw, Name: n.Name, Version: n.Version, Asked: delegate.Asked{Path: path}}
		if err := s.Delegates.Status(ctx, call); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	return nil
}

// primaryDel takes a sandbox from the node's own network that nobody here attached: it was there before tsunagu was.
func (s *Server) primaryDel(ctx context.Context, id, ifName, path string) {
	if s.Primary == nil {
		return
	}
	c, err := s.Primary.Conf()
	if err != nil {
		return
	}
	n, err := primaryNetwork(c)
	if err != nil {
		return
	}
	for _, step := range slices.Backward(n.Steps) {
		call := delegate.Call{Type: step.Type, Config: step.Raw, Name: n.Name, Version: n.Version, ContainerID: id, IfName: ifName, NetNS: path}
		if err := s.Delegates.Del(ctx, call); err != nil {
			s.Log.Warn("a sandbox from before tsunagu is not wholly taken from the node's own network", "plugin", step.Type, "container", id, "err", err)
		}
	}
}

// gcDelegates tells the plugins of others which interfaces of their networks there are.
func (s *Server) gcDelegates(ctx context.Context) error {
	type user struct{ name, typ, config string }
	calls, valid := map[user]delegate.Call{}, map[string][]delegate.Attachment{}
	for _, record := range s.records.list() {
		if record.State == Gone {
			continue
		}
		for ifName, c := range record.Chains {
			valid[c.Name] = append(valid[c.Name], delegate.Attachment{ContainerID: record.ContainerID, IfName: ifName})
			for _, step := range c.Steps {
				if step.Foreign && !c.NoGC {
					calls[user{c.Name, step.Type, string(step.Raw)}] = delegate.Call{Type: step.Type, Config: step.Raw, Name: c.Name, Version: c.Version,
						Asked: delegate.Asked{Path: c.Asked.Path}}
				}
			}
			if g := c.Giver; g != nil && !c.NoGC {
				calls[user{c.Name, g.Type, string(g.Raw)}] = delegate.Call{Type: g.Type, Config: g.Raw, Name: c.Name, Version: c.Version, Asked: delegate.Asked{Path: c.Asked.Path}}
			}
		}
	}
	if s.Primary != nil {
		if c, err := s.Primary.Conf(); err == nil {
			if n, err := primaryNetwork(c); err == nil && !n.NoGC {
				for _, step := range n.Steps {
					calls[user{n.Name, step.Type, string(step.Raw)}] = delegate.Call{Type: step.Type, Config: step.Raw, Name: n.Name, Version: n.Version}
				}
			}
		}
	}
	var failed error
	for _, call := range calls {
		if err := s.Delegates.GC(ctx, call, valid[call.Name]); err != nil {
			s.Log.Warn("a plugin did not tidy up", "plugin", call.Type, "network", call.Name, "err", err)
			failed = err
		}
	}
	return failed
}
