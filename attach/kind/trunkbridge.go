package kind

import (
	"errors"
	"fmt"

	"github.com/tsunagu-net/tsunagu/kernel/link"
)

// ensureBridge makes the bridge of a VLAN and the sub-interface that leads from it to the trunk.
func (s Trunk) ensureBridge(t *transaction, trunk link.Link) (link.Link, error) {
	br, err := Bridge{Name: s.bridge()}.ensure(t)
	if err != nil {
		return br, err
	}
	sub, err := t.node.ByName(s.subInterface())
	if link.Missing(err) {
		err = t.node.Apply(link.NewVLAN(link.End{Name: s.subInterface(), Group: link.Group, Master: br.Index}, trunk.Index, uint16(s.ID)))
		switch {
		case link.Unsupported(err):
			return br, KernelLacks{Type: "trunk", Module: "8021q", Option: "CONFIG_VLAN_8021Q", Kernel: link.Release()}
		case link.Exists(err):
			return br, s.taken(t, trunk)
		case err != nil:
			return br, err
		}
		// The bridge has the least MTU of its ports only now.
		return t.node.ByIndex(br.Index)
	}
	if err != nil {
		return br, err
	}
	if sub.Kind != "vlan" || int(sub.VLAN) != s.ID || sub.Parent != trunk.Index {
		return br, Conflict{Type: "trunk", Device: sub.Name, Why: fmt.Sprintf("exists on this node and is not VLAN %d of %s", s.ID, s.Name)}
	}
	if sub.Master != br.Index || !sub.Up {
		yes := true
		err = t.node.Apply(link.Set(link.Change{Device: sub.Name, Index: sub.Index, Master: &br.Index, Up: &yes}))
	}
	return br, err
}

// taken says who has the VLAN of the trunk.
func (s Trunk) taken(t *transaction, trunk link.Link) error {
	busy := DeviceBusy{Type: "trunk", Device: s.Name, Why: fmt.Sprintf("has an interface for VLAN %d already, in a Pod", s.ID)}
	links, err := t.node.Links()
	if err != nil {
		return errors.Join(busy, err)
	}
	for _, l := range links {
		if l.Kind == "vlan" && int(l.VLAN) == s.ID && l.Parent == trunk.Index {
			busy.Why = fmt.Sprintf("has an interface for VLAN %d already, the node's %s; datapath %s works beside it", s.ID, l.Name, EBPF)
		}
	}
	return busy
}

// dropSubInterfaces removes what leads from a bridge of ours to a trunk.
func dropSubInterfaces(c *link.Conn, br link.Link) error {
	ports, err := c.Ports(br.Index)
	for _, p := range ports {
		if p.Kind == "vlan" && p.Group == link.Group {
			err = errors.Join(err, c.Apply(link.DeleteIndex(p.Name, p.Index).Forgiving()))
		}
	}
	return err
}
