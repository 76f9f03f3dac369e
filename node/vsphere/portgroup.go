package vsphere

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/view"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/tsunagu-net/tsunagu/near"
)

// Kind is what makes a port group.
type Kind string

const (
	// Standard port groups belong to one host each; those of one name count as one.
	Standard Kind = "standard"
	// Distributed port groups are of a vSphere Distributed Switch.
	Distributed Kind = "distributed"
	// NSX port groups and opaque networks are segments of NSX, which keeps their rules to itself.
	NSX Kind = "nsx"
)

// PortGroup is a network of a vCenter that machines can be put onto.
type PortGroup struct {
	// ID is the managed object's, such as dvportgroup-17: it stays when the port group is renamed.
	ID   string
	Name string
	Path string
	Kind Kind
	// VLANs are those that machines see tagged. An access port group has none: its frames have no tag.
	VLANs []Span
	// VLAN is that of an access port group, 0 when there is none or it is not known.
	VLAN int
	// Hosts are the IDs of the ESXi hosts that have it.
	Hosts  []string
	Policy Policy
	// Full is true when no port is left and none is made on demand.
	Full bool
	// opaque networks are objects of another type than port groups of NSX.
	opaque bool
}

// Span is a range of VLANs, both ends included.
type Span struct{ First, Last int }

// Trunk tells whether machines see tags.
func (p PortGroup) Trunk() bool { return len(p.VLANs) > 0 }

// Carries tells whether a VLAN is among those of a trunk.
func (p PortGroup) Carries(vlan int) bool {
	return slices.ContainsFunc(p.VLANs, func(s Span) bool { return s.First <= vlan && vlan <= s.Last })
}

// On tells whether an ESXi host has it.
func (p PortGroup) On(host string) bool { return slices.Contains(p.Hosts, host) }

// PortGroup looks one up by its ID, its inventory path or its name.
func (c *Center) PortGroup(ctx context.Context, which string) (PortGroup, error) {
	var p PortGroup
	err := c.do(ctx, "look for port group "+which, func(ctx context.Context, client *vim25.Client) error {
		ref, path, err := choose(ctx, client, which, c.login.Server)
		if err != nil {
			return err
		}
		p, err = readPortGroup(ctx, client, ref, path)
		return err
	})
	return p, err
}

// PortGroupNames are those of all port groups that the user can see, sorted.
func (c *Center) PortGroupNames(ctx context.Context) ([]string, error) {
	var names []string
	err := c.do(ctx, "list port groups", func(ctx context.Context, client *vim25.Client) error {
		all, err := networks(ctx, client)
		for _, n := range all {
			names = append(names, n.Name)
		}
		slices.Sort(names)
		return err
	})
	return names, err
}

// networks are all port groups of a vCenter, whatever datacenter they are in.
func networks(ctx context.Context, client *vim25.Client) ([]mo.Network, error) {
	kinds := []string{"Network", "OpaqueNetwork", "DistributedVirtualPortgroup"}
	v, err := view.NewManager(client).CreateContainerView(ctx, client.ServiceContent.RootFolder, kinds, true)
	if err != nil {
		return nil, err
	}
	defer v.Destroy(ctx)
	var all []mo.Network
	return all, v.Retrieve(ctx, kinds, []string{"name"}, &all)
}

func choose(ctx context.Context, client *vim25.Client, which, server string) (ref types.ManagedObjectReference, path string, err error) {
	all, err := networks(ctx, client)
	if err != nil {
		return ref, "", err
	}
	last := which[strings.LastIndexByte(which, '/')+1:]
	var paths, names []string
	for _, n := range all {
		names = append(names, n.Name)
		if n.Name != last && n.Self.Value != which {
			continue
		}
		at, err := find.InventoryPath(ctx, client, n.Self)
		if err != nil {
			return ref, "", err
		}
		if at == which || n.Self.Value == which {
			return n.Self, at, nil
		}
		if n.Name == which {
			ref, path, paths = n.Self, at, append(paths, at)
		}
	}
	switch len(paths) {
	case 1:
		return ref, path, nil
	case 0:
		r := &Refusal{Reason: NoPortGroup, Message: fmt.Sprintf("vCenter %s has no port group %q that the controller's user can see", server, which), Fix: "create it, or give the user System.Read on it"}
		if meant := near.Names(last, names); len(meant) > 0 {
			r.Fix = "did you mean " + strings.Join(meant, " or ") + "?"
		}
		return ref, "", r
	}
	slices.Sort(paths)
	return ref, "", &Refusal{Reason: NoPortGroup, Message: fmt.Sprintf("vCenter %s has %d port groups named %q", server, len(paths), which), Fix: "write the path of one: " + strings.Join(paths, " or ")}
}

func readPortGroup(ctx context.Context, client *vim25.Client, ref types.ManagedObjectReference, path string) (PortGroup, error) {
	p := PortGroup{ID: ref.Value, Path: path, Name: path[strings.LastIndexByte(path, '/')+1:]}
	var err error
	switch ref.Type {
	case "DistributedVirtualPortgroup":
		err = p.readDistributed(ctx, client, ref)
	case "OpaqueNetwork":
		p.Kind, p.opaque = NSX, true
		err = p.readHosts(ctx, client, ref)
	default:
		p.Kind = Standard
		if err = p.readHosts(ctx, client, ref); err == nil {
			err = p.readStandard(ctx, client)
		}
	}
	return p, err
}

func (p *PortGroup) readHosts(ctx context.Context, client *vim25.Client, ref types.ManagedObjectReference) error {
	var n mo.Network
	if err := object.NewCommon(client, ref).Properties(ctx, ref, []string{"host"}, &n); err != nil {
		return err
	}
	p.hosts(n.Host)
	return nil
}

func (p *PortGroup) hosts(refs []types.ManagedObjectReference) {
	for _, h := range refs {
		p.Hosts = append(p.Hosts, h.Value)
	}
}

func (p *PortGroup) readDistributed(ctx context.Context, client *vim25.Client, ref types.ManagedObjectReference) error {
	var n mo.DistributedVirtualPortgroup
	if err := object.NewCommon(client, ref).Properties(ctx, ref, []string{"host", "config", "portKeys"}, &n); err != nil {
		return err
	}
	p.hosts(n.Host)
	p.Kind = Distributed
	if n.Config.BackingType == string(types.DistributedVirtualPortgroupBackingTypeNsx) || n.Config.LogicalSwitchUuid != "" {
		p.Kind = NSX
		return nil
	}
	setting, ok := n.Config.DefaultPortConfig.(*types.VMwareDVSPortSetting)
	if !ok {
		return nil
	}
	switch v := setting.Vlan.(type) {
	case *types.VmwareDistributedVirtualSwitchVlanIdSpec:
		p.VLAN = int(v.VlanId)
	case *types.VmwareDistributedVirtualSwitchTrunkVlanSpec:
		for _, r := range v.VlanId {
			p.VLANs = append(p.VLANs, Span{int(r.Start), int(r.End)})
		}
	}
	p.Policy = distributedPolicy(setting)
	grows := n.Config.AutoExpand != nil && *n.Config.AutoExpand || n.Config.Type == string(types.DistributedVirtualPortgroupPortgroupTypeEphemeral)
	if !grows && n.Config.DistributedVirtualSwitch != nil {
		return p.readPorts(ctx, client, *n.Config.DistributedVirtualSwitch)
	}
	return nil
}

// readPorts tells whether a port group of a fixed number of ports has a free one.
func (p *PortGroup) readPorts(ctx context.Context, client *vim25.Client, of types.ManagedObjectReference) error {
	inside, free := true, false
	ports, err := object.NewDistributedVirtualSwitch(client, of).FetchDVPorts(ctx, &types.DistributedVirtualSwitchPortCriteria{PortgroupKey: []string{p.ID}, Inside: &inside, Connected: &free})
	if err != nil {
		return err
	}
	p.Full = !slices.ContainsFunc(ports, func(port types.DistributedVirtualPort) bool { return port.Connectee == nil })
	return nil
}

// everyVLAN is the number by which a standard port group passes all tags (VMware KB 1004252).
const everyVLAN = 4095

// readStandard asks the hosts: they may differ, and the strictest counts.
func (p *PortGroup) readStandard(ctx context.Context, client *vim25.Client) error {
	for i, id := range p.Hosts {
		ref := types.ManagedObjectReference{Type: "HostSystem", Value: id}
		var host mo.HostSystem
		if err := object.NewHostSystem(client, ref).Properties(ctx, ref, []string{"config.network.portgroup"}, &host); err != nil {
			return err
		}
		if host.Config == nil || host.Config.Network == nil {
			continue
		}
		for _, g := range host.Config.Network.Portgroup {
			if g.Spec.Name != p.Name {
				continue
			}
			if p.VLANs = nil; g.Spec.VlanId == everyVLAN {
				p.VLANs = []Span{{1, 4094}}
			} else {
				p.VLAN = int(g.Spec.VlanId)
			}
			policy := standardPolicy(g)
			if i > 0 {
				policy = policy.strictest(p.Policy)
			}
			p.Policy = policy
		}
	}
	return nil
}
