package kind

import (
	"errors"
	"net/netip"

	"github.com/tsunagu-net/tsunagu/kernel/link"
)

// mendTrunks puts back what VLANs stand on, and forgets ports that have gone. A trunk that is not there is not an error of anybody's
// Pod: it is looked for again.
func (w *Wirer) mendTrunks(node *link.Conn, have map[string]link.Link, owned []Record) error {
	var failed error
	any := false
	for _, r := range owned {
		if r.Trunk == nil {
			continue
		}
		any = true
		end, here := have[r.HostIf]
		nic, there := have[r.Trunk.Name]
		if !here || !there {
			continue
		}
		if err := w.mendTrunk(node, r, end, nic); err != nil && !link.Missing(err) {
			failed = errors.Join(failed, err)
		}
	}
	if !any {
		return failed
	}
	return errors.Join(failed, w.untie(owned))
}

func (w *Wirer) mendTrunk(node *link.Conn, r Record, end, nic link.Link) error {
	s := Trunk{Name: r.Trunk.Name, ID: r.Trunk.VLAN}
	if r.Trunk.Datapath == SubInterface {
		t := &transaction{Wirer: w, node: node}
		t.holdBridges()
		defer t.releaseBridges()
		br, err := s.ensureBridge(t, nic)
		if err != nil {
			return err
		}
		if end.Master != br.Index {
			if err := node.Apply(link.Set(link.Change{Device: end.Name, Index: end.Index, Master: &br.Index})); err != nil {
				return err
			}
		}
	}
	if !end.Up {
		if err := node.Apply(link.Up(end.Name, end.Index)); err != nil {
			return err
		}
	}
	return w.retie(r, end.Index, nic.Index)
}

// retie makes the port of a record what the record says.
func (w *Wirer) retie(r Record, index, nic int) error {
	mac, err := ParseMAC(r.MAC)
	if err != nil {
		return err
	}
	var addresses []netip.Addr
	for _, a := range r.Addresses {
		addresses = append(addresses, a.Prefix.Addr())
	}
	p := *r.Trunk
	p.Index = index
	return w.put(p, nic, mac, addresses)
}

// readdressTrunk lets a port use other addresses.
func (w *Wirer) readdressTrunk(r Record) error {
	if r.Trunk == nil || r.Trunk.AntiSpoof != ByAddress {
		return nil
	}
	node, err := w.borrow()
	if err != nil {
		return err
	}
	defer w.giveIdle(node)
	nic, err := node.ByName(r.Trunk.Name)
	if err == nil {
		err = w.retie(r, r.Trunk.Index, nic.Index)
	}
	if link.Missing(err) {
		return nil // mendTrunks finds it when it is back
	}
	return err
}

// compareTrunk finds a port that is not on its VLAN.
func (w *Wirer) compareTrunk(node *link.Conn, r Record, end link.Link) error {
	if r.Trunk == nil {
		return nil
	}
	sw, err := w.vlanSwitch()
	if err != nil {
		return err
	}
	nic, err := node.ByName(r.Trunk.Name)
	if link.Missing(err) {
		return Mismatch{IfName: r.IfName, What: "trunk " + r.Trunk.Name, Want: "present", Have: "missing"}
	}
	if err != nil {
		return err
	}
	for _, p := range sw.Ports() {
		if p.Index == end.Index && p.Trunk == nic.Index && p.VLAN == r.Trunk.VLAN {
			return nil
		}
	}
	return Mismatch{IfName: r.IfName, What: "the node's end " + r.HostIf, Want: "on the VLAN", Have: "not on it"}
}
