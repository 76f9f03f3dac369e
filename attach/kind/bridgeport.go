package kind

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/tsunagu-net/tsunagu/kernel/link"
)

func (s Bridge) link() (net.HardwareAddr, int) { return s.MAC, s.MTU }

// prepare makes the bridge what the configuration says. The transaction holds the lock of bridges until the port is made, so that
// nobody removes the bridge as unused in between.
func (s Bridge) prepare(t *transaction, j *job) error {
	t.holdBridges()
	var uplink link.Link
	if s.Uplink != "" {
		var err error
		if uplink, err = t.uplink("bridge", s.Uplink); err != nil {
			return err
		}
		if s.MTU > uplink.MTU {
			return BadConfig{Type: "bridge", Field: "mtu", Message: fmt.Sprintf("%d is more than the %d of uplink %s", s.MTU, uplink.MTU, s.Uplink)}
		}
	}
	br, err := s.ensure(t)
	if err != nil {
		return err
	}
	j.below = br
	if s.Uplink != "" {
		if err := s.enslave(t, br, uplink); err != nil {
			return err
		}
		if err := s.carry(t, uplink); err != nil {
			return err
		}
	}
	if s.PromiscMode && !br.Promisc {
		yes := true
		if err := t.node.Apply(link.Set(link.Change{Device: br.Name, Index: br.Index, Promisc: &yes})); err != nil {
			return err
		}
	}
	if j.mtu == 0 {
		j.mtu = br.MTU
		if s.Uplink != "" {
			j.mtu = min(br.MTU, uplink.MTU)
		}
	}
	if !s.IsGateway {
		return nil
	}
	gateway, err := s.gatewayLink(t, br)
	if err != nil {
		return err
	}
	for _, a := range j.addresses {
		if a.Gateway.IsValid() {
			if err := s.ensureGateway(t, gateway, netip.PrefixFrom(a.Gateway, a.Prefix.Bits())); err != nil {
				return err
			}
		}
	}
	return t.forward(j)
}

// ensure finds the bridge or makes it.
func (s Bridge) ensure(t *transaction) (link.Link, error) {
	br, err := t.node.ByName(s.Name)
	if link.Missing(err) {
		// An address of its own from the start: a bridge otherwise changes its address with its ports, and its neighbours lose it.
		var random [32]byte
		rand.Read(random[:])
		end := link.End{Name: s.Name, MAC: local(random), MTU: s.MTU, Group: link.Group, Promisc: s.PromiscMode}
		op := link.NewBridge(end)
		if s.filters() {
			op = link.NewFilteringBridge(end)
		}
		if err = t.node.Apply(op); s.filters() && link.Unsupported(err) {
			return br, noVLANFilter()
		}
		if err != nil && !link.Exists(err) {
			return br, err
		}
		t.bridges = append(t.bridges, s.Name)
		br, err = t.node.ByName(s.Name)
	}
	if err != nil {
		return br, err
	}
	if br.Kind != "bridge" {
		return br, Conflict{Type: "bridge", Device: s.Name, Why: "exists on this node and is no bridge"}
	}
	if s.filters() {
		if err := s.filter(t, br); err != nil {
			return br, err
		}
	}
	if !br.Up {
		err = t.node.Apply(link.Up(br.Name, br.Index))
	}
	return br, err
}

// enslave puts the uplink on the bridge, unless the node needs it.
func (s Bridge) enslave(t *transaction, br, uplink link.Link) error {
	if uplink.Master == br.Index && uplink.Up {
		return nil
	}
	if uplink.Master != 0 && uplink.Master != br.Index {
		return DeviceBusy{Type: "bridge", Device: uplink.Name, Why: "belongs to " + t.nameOf(uplink.Master) + " already"}
	}
	if why, err := t.neededByNode(uplink); err != nil {
		return err
	} else if why != "" {
		return DeviceBusy{Type: "bridge", Device: uplink.Name, Why: why}
	}
	yes := true
	err := t.node.Apply(link.Set(link.Change{Device: uplink.Name, Index: uplink.Index, Master: &br.Index, Up: &yes}))
	if link.Busy(err) {
		return DeviceBusy{Type: "bridge", Device: uplink.Name, Why: "cannot join " + br.Name + ", it has another use, such as macvlan: " + err.Error()}
	}
	return err
}

// ensureGateway puts a gateway address on the bridge.
func (s Bridge) ensureGateway(t *transaction, br link.Link, gateway netip.Prefix) error {
	have, err := t.node.AddressesOf(br.Index)
	if err != nil {
		return err
	}
	for _, a := range have {
		switch {
		case a.Prefix == gateway:
			return nil
		case a.Prefix.Addr().Is4() != gateway.Addr().Is4() || a.Prefix.Addr().IsLinkLocalUnicast():
		case gateway.Addr().Is6() && !a.Prefix.Overlaps(gateway): // several IPv6 subnets may share a bridge
		case !s.ForceAddress:
			return Conflict{Type: "bridge", Device: br.Name, Why: fmt.Sprintf("already has an IP address different from %s: %s", gateway, a.Prefix)}
		default:
			if err := t.node.Apply(link.DeleteAddress(br.Name, br.Index, a.Prefix).Forgiving()); err != nil {
				return err
			}
		}
	}
	return t.node.Apply(link.AddAddress(br.Name, br.Index, gateway, link.AddressOptions{}).Forgiving())
}

func (s Bridge) create(t *transaction, j *job) (link.Op, bool) {
	return link.NewVeth(
		link.End{Name: j.hostIf, MAC: hostMAC(j.ContainerID, j.IfName), MTU: j.mtu, Master: j.below.Index},
		link.End{Name: j.IfName, MAC: j.mac, MTU: j.mtu, Group: link.Group, NS: t.ns},
	), true
}

func (s Bridge) finish(_ *transaction, j *job) []link.Op {
	ops := s.portOps(j.hostIf, j.hostLink)
	if s.HairpinMode || s.PortIsolation {
		ops = append(ops, link.SetPort(j.hostIf, j.hostLink, link.PortOptions{Hairpin: s.HairpinMode, Isolated: s.PortIsolation}))
	}
	return ops
}

func (s Bridge) record(j *job, w *Wired) {
	w.HostIf, w.HostMAC, w.Bridge = j.hostIf, hostMAC(j.ContainerID, j.IfName).String(), s.Name
	w.Kind, w.Down = "veth", s.Down
	w.Port = &Port{Hairpin: s.HairpinMode, Isolated: s.PortIsolation, VLANs: s.vlans(), Guarded: s.MACSpoofCheck}
}

// dropBridges removes bridges of ours that have no Pod on them any more. The caller holds the lock of bridges.
func (w *Wirer) dropBridges(c *link.Conn, names []string) error {
	var failed error
	for _, name := range names {
		br, err := c.ByName(name)
		if link.Missing(err) {
			continue
		}
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		used, err := bridgeUsed(c, br)
		if err == nil {
			err = w.dropGateways(c, br)
		}
		if err == nil && !used {
			err = dropSubInterfaces(c, br)
		}
		if err == nil && !used {
			err = w.vanish(link.DeleteIndex(br.Name, br.Index).Forgiving(), w.node, func() bool {
				_, err := c.ByIndex(br.Index)
				return link.Missing(err)
			})
		}
		failed = errors.Join(failed, err)
	}
	return failed
}

// dropGateways removes the node from VLANs of a bridge that no Pod is in any more.
func (w *Wirer) dropGateways(c *link.Conn, br link.Link) error {
	ports, err := c.Ports(br.Index)
	if err != nil || !slices.ContainsFunc(ports, func(p link.Link) bool { return isGatewayPort(p.Name) }) {
		return err
	}
	vlans, err := c.VLANsOfPorts()
	if err != nil {
		return err
	}
	used := map[uint16]bool{}
	for _, p := range ports {
		if isHostName(p.Name) {
			used[vlans[p.Index].Native] = true
		}
	}
	for _, p := range ports {
		if isGatewayPort(p.Name) && !used[vlans[p.Index].Native] {
			err = errors.Join(err, c.Apply(link.DeleteIndex(p.Name, p.Index).Forgiving()))
		}
	}
	return err
}

// bridgeUsed tells whether a bridge is not ours or has the port of a Pod.
func bridgeUsed(c *link.Conn, br link.Link) (bool, error) {
	if br.Kind != "bridge" || br.Group != link.Group {
		return true, nil
	}
	ports, err := c.Ports(br.Index)
	if err != nil {
		return true, err
	}
	for _, p := range ports {
		if isHostName(p.Name) {
			return true, nil
		}
	}
	return false, nil
}
