package attach

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/tsunagu-net/tsunagu/attach/kind"
	"github.com/tsunagu-net/tsunagu/near"
)

// Definition is a network attachment definition, unread.
type Definition struct {
	Namespace, Name string
	// Network is the Network that the controller made it of; "" for one made by hand.
	Network string
	// Resource is the device resource it asks for (annotation k8s.v1.cni.cncf.io/resourceName).
	Resource string
	// Device is the one of Resource that the Pod has for it; "" when nobody looked.
	Device string
	// Count says where addresses of ipam type host-local are counted (HostLocalMark); "" leaves it to Definition.clusterWide.
	Count Count
	// OnDisk tells that Config stands in a file of this node: other nodes may have another.
	OnDisk bool
	// Binaries tells that plugins are executed also when their type is built in (PluginsMark).
	Binaries bool
	// Config is spec.config.
	Config string
}

// HostLocalMark with a Count, as an annotation of a definition or else as a label of its namespace, says where ipam type host-local counts
// addresses.
const HostLocalMark = "tsunagu.dev/host-local"

// Count is where addresses of ipam type host-local are counted. Any other value of the mark is as if there were none.
type Count string

// The values of HostLocalMark.
const (
	CountCluster Count = "cluster"
	CountNode    Count = "node"
)

// ParseCount reads the value of a mark.
func ParseCount(mark string) Count {
	if c := Count(mark); c == CountCluster || c == CountNode {
		return c
	}
	return ""
}

// clusterWide tells whether addresses of ipam type host-local are counted in the whole cluster. Unless the definition says, they are where
// all nodes read the same ranges and may be on one segment; the plugin of that name would give an address twice there
// (docs/decisions/0013).
func (d Definition) clusterWide(s kind.Spec) bool {
	if d.Count != "" {
		return d.Count == CountCluster
	}
	return !d.OnDisk && kind.Shared(s)
}

// PluginsMark with the value "binaries", as an annotation of a definition, has every plugin of it executed from the node's folder, as
// another runtime would, also those that are built in.
const PluginsMark = "tsunagu.dev/plugins"

func (d Definition) String() string { return d.Namespace + "/" + d.Name }

// Definitions finds network attachment definitions.
type Definitions interface {
	// Definition finds one, if need be by asking the API server: the error is ErrNotFound only when it answered so.
	Definition(ctx context.Context, namespace, name string) (Definition, error)
	// All lists what is known, to find near names.
	All() []Definition
}

// Namespaces are the rules about networks of other namespaces.
type Namespaces struct {
	// Isolation limits Pods to the definitions of their own namespace and of Global ones.
	Isolation bool
	// Global are namespaces whose definitions all Pods may use.
	Global []string
}

// permit checks that a Pod of namespace may use a definition. Definitions of Networks may be used in their own namespace only: the
// Network says which namespaces have one.
func (n Namespaces) permit(namespace string, d Definition) error {
	if d.Namespace == namespace {
		return nil
	}
	if d.Network != "" {
		return refusef(ReasonNamespaceRefused,
			fmt.Sprintf("select %q without a namespace, and permit namespace %s in spec.namespaces of Network %s", d.Name, namespace, d.Network),
			"Network %s is published per namespace, a Pod of namespace %s may not use the one of namespace %s", d.Network, namespace, d.Namespace)
	}
	if n.Isolation && !slices.Contains(n.Global, d.Namespace) {
		return refusef(ReasonNamespaceRefused,
			fmt.Sprintf("define the network in namespace %s, or have the administrator add %s to the agent's global namespaces", namespace, d.Namespace),
			"namespace isolation enabled, annotation violates permission, pod is in namespace %s but refers to target namespace %s",
			namespace, d.Namespace)
	}
	return nil
}

// unknownNetwork says that there is no definition, and what may have been meant.
func unknownNetwork(s Selection, podNamespace string, all []Definition) *Refusal {
	var here, published, elsewhere []string
	for _, d := range all {
		switch {
		case d.Namespace == s.Namespace:
			here = append(here, d.Name)
		case d.Name == s.Name && d.Network != "":
			published = append(published, d.Namespace)
		case d.Name == s.Name:
			elsewhere = append(elsewhere, d.String())
		}
	}
	r := refusef(ReasonUnknownNetwork, "", "cannot find a network-attachment-definition (%s) in namespace (%s)", s.Name, s.Namespace)
	slices.Sort(elsewhere)
	slices.Sort(here)
	switch meant := near.Names(s.Name, here); {
	case len(published) > 0:
		r.Message += fmt.Sprintf("; Network %s is not published there", s.Name)
		r.Fix = fmt.Sprintf("permit namespace %s in spec.namespaces of Network %s", podNamespace, s.Name)
	case len(meant) > 0:
		r.Message += "; near names there: " + strings.Join(meant, ", ")
		r.Fix = fmt.Sprintf("write %q in the annotation, or create the network", meant[0])
	case len(elsewhere) > 0:
		r.Message += "; of that name there is " + strings.Join(elsewhere[:min(3, len(elsewhere))], ", ")
		r.Fix = fmt.Sprintf("write %q in the annotation, or create the network in namespace %s", elsewhere[0], s.Namespace)
	case len(here) > 0:
		r.Message += "; there are: " + strings.Join(here[:min(5, len(here))], ", ")
		r.Fix = "correct the annotation, or create the network"
	default:
		r.Message += "; there are none in that namespace"
		r.Fix = fmt.Sprintf("create the network attachment definition, or a Network that permits namespace %s", s.Namespace)
	}
	return r
}
