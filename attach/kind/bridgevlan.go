package kind

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/tsunagu-net/tsunagu/kernel/link"
)

// trunk reads a list of VLANs and ranges of them, and merges what overlaps or touches.
func (f *fields) trunk(key string, least int) []link.VLANs {
	var items []struct {
		ID, MinID, MaxID *int
	}
	f.into(key, `a list such as [{"id": 100}, {"minID": 200, "maxID": 299}]`, &items)
	var all []link.VLANs
	id := func(name string, n int) uint16 {
		if n < least || n > 4094 {
			f.fail(key, "incorrect trunk %s parameter: %d is not a VLAN, they are %d to 4094", name, n, least)
			return 1
		}
		return uint16(n)
	}
	for _, item := range items {
		switch {
		case item.MinID != nil && item.MaxID != nil:
			v := link.VLANs{From: id("minID", *item.MinID), To: id("maxID", *item.MaxID)}
			if v.To < v.From {
				f.fail(key, "minID is greater than maxID in trunk parameter")
			}
			all = append(all, v)
		case item.MaxID != nil:
			f.fail(key, "minID and maxID should be configured simultaneously, minID is missing")
		case item.MinID != nil:
			f.fail(key, "minID and maxID should be configured simultaneously, maxID is missing")
		}
		if item.ID != nil {
			all = append(all, link.VLANs{From: id("id", *item.ID), To: id("id", *item.ID)})
		}
	}
	return merged(all)
}

// merged sorts ranges of VLANs and joins those that overlap or touch, as the kernel tells them.
func merged(all []link.VLANs) []link.VLANs {
	slices.SortFunc(all, func(a, b link.VLANs) int { return cmp.Compare(a.From, b.From) })
	var kept []link.VLANs
	for _, v := range all {
		if n := len(kept); n > 0 && v.From <= kept[n-1].To+1 {
			kept[n-1].To = max(kept[n-1].To, v.To)
			continue
		}
		kept = append(kept, v)
	}
	return kept
}

// without takes one VLAN out of ranges.
func without(all []link.VLANs, id uint16) (rest []link.VLANs) {
	for _, v := range all {
		if id < v.From || id > v.To {
			rest = append(rest, v)
			continue
		}
		if v.From < id {
			rest = append(rest, link.VLANs{From: v.From, To: id - 1})
		}
		if v.To > id {
			rest = append(rest, link.VLANs{From: id + 1, To: v.To})
		}
	}
	return rest
}

// defaultVLAN is the VLAN of all ports of a bridge that filters (IFLA_BR_VLAN_DEFAULT_PVID). One that is a trunk only has it as the one of
// frames without a tag, as in the reference plugin.
const defaultVLAN = 1

// ports is what the Pod's port is to have; nil when it has no VLANs.
func (s Bridge) vlans() *link.PortVLANs {
	if !s.filters() {
		return nil
	}
	p := link.PortVLANs{Native: cmp.Or(s.VLAN, defaultVLAN)}
	if s.PreserveDefaultVLAN && p.Native != defaultVLAN {
		p.Bare = []link.VLANs{{From: defaultVLAN, To: defaultVLAN}}
	}
	p.Bare = append(p.Bare, link.VLANs{From: p.Native, To: p.Native})
	p.Tagged = without(s.Trunk, p.Native)
	if s.PreserveDefaultVLAN {
		p.Tagged = without(p.Tagged, defaultVLAN)
	}
	return &p
}

// filter makes a bridge look at tags: one of ours is changed, one of others is not, because its ports would lose what they have.
func (s Bridge) filter(t *transaction, br link.Link) error {
	if br.FiltersVLANs {
		return nil
	}
	if br.Group != link.Group {
		return Conflict{Type: "bridge", Device: br.Name, Why: "exists on this node and does not filter VLANs (ip link set " + br.Name + " type bridge vlan_filtering 1)"}
	}
	err := t.node.Apply(link.FilterVLANs(br.Name, br.Index))
	if link.Unsupported(err) {
		return noVLANFilter()
	}
	return err
}

// noVLANFilter is the refusal of a kernel whose bridges know no VLANs.
func noVLANFilter() error {
	return KernelLacks{Type: "bridge", Module: "bridge with VLAN filtering", Option: "CONFIG_BRIDGE_VLAN_FILTERING", Kernel: link.Release()}
}

// portOps gives a new port its VLANs. The kernel has put it into the default one.
func (s Bridge) portOps(device string, index int) []link.Op {
	v := s.vlans()
	if v == nil {
		return nil
	}
	var ops []link.Op
	if v.Native != defaultVLAN && !s.PreserveDefaultVLAN {
		ops = append(ops, link.DeletePortVLANs(device, index, link.VLANs{From: defaultVLAN, To: defaultVLAN}).Forgiving())
	}
	ops = append(ops, link.AddPortVLANs(device, index, link.Native, link.VLANs{From: v.Native, To: v.Native}))
	if len(v.Tagged) > 0 {
		ops = append(ops, link.AddPortVLANs(device, index, link.Tagged, v.Tagged...))
	}
	return ops
}

// carry lets the VLANs of the Pod out by the uplink, with their tags. What the uplink has otherwise stays.
func (s Bridge) carry(t *transaction, uplink link.Link) error {
	v := s.vlans()
	if v == nil {
		return nil
	}
	want := v.Tagged
	if v.Native != defaultVLAN {
		want = merged(append(slices.Clone(want), link.VLANs{From: v.Native, To: v.Native}))
	}
	if len(want) == 0 {
		return nil
	}
	return t.node.Apply(link.AddPortVLANs(uplink.Name, uplink.Index, link.Tagged, want...))
}

// gatewayPrefixName begins the names of our ports by which the node is in a VLAN of a bridge.
const gatewayPrefixName = "tsg"

func isGatewayPort(name string) bool {
	digits, ok := strings.CutPrefix(name, gatewayPrefixName)
	return ok && len(digits) == 11 && strings.Trim(digits, "0123456789abcdef") == ""
}

// gatewayLink is the interface by which the node is in the Pod's VLAN, to be its gateway: one end of a veth, called bridge.vlan as in the
// reference plugin, whose other end is a port.
func (s Bridge) gatewayLink(t *transaction, br link.Link) (link.Link, error) {
	if s.VLAN == 0 {
		return br, nil
	}
	name := fmt.Sprintf("%s.%d", s.Name, s.VLAN)
	if !ValidName(name) {
		return link.Link{}, BadConfig{Type: "bridge", Field: "bridge",
			Message: fmt.Sprintf("the gateway of VLAN %d would be called %s, which is longer than 15 bytes", s.VLAN, name), Hint: "give the bridge a shorter name"}
	}
	l, err := t.node.ByName(name)
	if !link.Missing(err) {
		return l, err
	}
	sum := keySum(s.Name, name)
	port := gatewayPrefixName + hex.EncodeToString(sum[:6])[:11]
	if err := t.node.Apply(link.NewVeth(
		link.End{Name: port, MTU: br.MTU, Master: br.Index, Group: link.Group},
		link.End{Name: name, MTU: br.MTU, MAC: local(keySum(name, s.Name)), Group: link.Group},
	)); err != nil {
		return l, err
	}
	end, err := t.node.ByName(port)
	if err != nil {
		return l, err
	}
	only := Bridge{VLAN: s.VLAN, PreserveDefaultVLAN: s.PreserveDefaultVLAN}
	if err := t.node.Apply(only.portOps(port, end.Index)...); err != nil {
		return l, err
	}
	if l, err = t.node.ByName(name); err != nil {
		return l, err
	}
	return l, t.node.Apply(link.Up(name, l.Index))
}
