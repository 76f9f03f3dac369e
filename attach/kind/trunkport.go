package kind

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/kernel/trunk"
)

// TrunkPort is the port of an interface on a VLAN.
type TrunkPort struct {
	Name      string    `json:"name"`
	VLAN      int       `json:"vlan"`
	Datapath  Datapath  `json:"datapath"`
	AntiSpoof AntiSpoof `json:"antiSpoof"`
	// Index is that of the node's end.
	Index int `json:"index"`
}

// vlanSwitch starts the node's switch of VLANs when it is needed first. The one that a former agent left is taken over.
func (w *Wirer) vlanSwitch() (*trunk.Switch, error) {
	w.switching.Lock()
	defer w.switching.Unlock()
	if w.vlans == nil {
		sw, err := trunk.Open(w.node)
		if err != nil {
			return nil, err
		}
		w.vlans = sw
	}
	return w.vlans, nil
}

// PreferDatapath says what carries the VLANs of networks that leave it to the node. Call it before the first Wire.
func (w *Wirer) PreferDatapath(d Datapath) { w.datapath = d }

// choose decides what carries the VLAN: what the other Pods of the VLAN have, what the network or the node's agent says, what the kernel
// can do. A VLAN has one datapath on a node, because frames do not cross from one to the other.
func (s Trunk) choose(t *transaction, nic link.Link) (Datapath, error) {
	used, err := s.carrying(t, nic)
	if err != nil {
		return "", err
	}
	if used != "" && s.Datapath != "" && s.Datapath != used {
		return "", Conflict{Type: "trunk", Device: s.Name, Why: fmt.Sprintf("carries VLAN %d by datapath %s for other Pods of this node, not by %s", s.ID, used, s.Datapath)}
	}
	for _, d := range []Datapath{used, s.Datapath, t.datapath} {
		if d != "" {
			return d, nil
		}
	}
	if _, err := t.vlanSwitch(); err != nil {
		t.log.Debug("no eBPF for VLANs, a bridge carries them", "cause", err)
		return SubInterface, nil
	}
	return EBPF, nil
}

// carrying is the datapath that other Pods of the VLAN have.
func (s Trunk) carrying(t *transaction, nic link.Link) (Datapath, error) {
	br, err := t.node.ByName(s.bridge())
	if err == nil && br.Kind == "bridge" {
		used, err := bridgeUsed(t.node, br)
		if err != nil || used {
			return SubInterface, err
		}
	} else if !link.Missing(err) {
		return "", err
	}
	sw, err := t.vlanSwitch()
	if err != nil {
		return "", nil // then nobody uses it
	}
	for _, p := range sw.Ports() {
		if p.Trunk == nic.Index && p.VLAN == s.ID && !p.Bridged {
			return EBPF, nil
		}
	}
	return "", nil
}

// tie puts the ports of VLANs under guard and on their switch, before anything inside the Pod is up.
func (t *transaction) tie() error {
	for _, j := range t.jobs {
		if j.trunk == nil {
			continue
		}
		j.trunk.Index = j.hostLink
		var addresses []netip.Addr
		for _, a := range j.addresses {
			addresses = append(addresses, a.Prefix.Addr())
		}
		t.tied = append(t.tied, j.hostLink)
		if err := t.put(*j.trunk, j.trunkIndex, j.inside.MAC, addresses); err != nil {
			return j.blame(j.explainPort(err))
		}
	}
	return nil
}

// put makes the port on the switch what it is to be.
func (w *Wirer) put(p TrunkPort, nic int, mac []byte, addresses []netip.Addr) error {
	sw, err := w.vlanSwitch()
	if err != nil {
		return err
	}
	port := trunk.Port{Index: p.Index, Trunk: nic, VLAN: p.VLAN, MAC: mac, Bridged: p.Datapath == SubInterface}
	port.Check.MAC = p.AntiSpoof != ByNothing
	if p.AntiSpoof == ByAddress {
		port.Addresses = addresses
	}
	return sw.Put(port)
}

func (j *job) explainPort(err error) error {
	if taken, is := errors.AsType[trunk.Taken](err); is {
		return Conflict{Type: "trunk", Device: taken.MAC.String(), Why: "is the address of another Pod of this node on the same VLAN"}
	}
	return fmt.Errorf("trunk: %w", err)
}

// untie forgets the ports of records, and of interfaces that have gone.
func (w *Wirer) untie(records []Record) error {
	known, lost := false, false
	for _, r := range records {
		known = known || r.Trunk != nil
		lost = lost || r.Type == ""
	}
	w.switching.Lock()
	open := w.vlans != nil
	w.switching.Unlock()
	if !known && !(lost && open) {
		return nil
	}
	sw, err := w.vlanSwitch()
	if err != nil {
		return err
	}
	return sw.Prune()
}
