package kind

import (
	"net"

	"github.com/tsunagu-net/tsunagu/kernel/link"
)

// Tap is an Ethernet interface whose other end is a program of the Pod that opens /dev/net/tun, such as a virtual machine.
type Tap struct {
	plain
	MultiQueue bool
	// Owner and Group may open it; nil is whoever may administer networks.
	Owner, Group *uint32
	// Bridge is one inside the Pod whose port it becomes; "" for none.
	Bridge string
	MTU    int
	MAC    net.HardwareAddr
}

func parseTap(f *fields) (Spec, error) {
	s := Tap{MultiQueue: f.flag("multiQueue"), Bridge: f.device("bridge"), MTU: f.mtu(), MAC: f.mac("mac")}
	s.Owner, s.Group = f.id("owner"), f.id("group")
	if context := f.text("selinuxContext"); context != "" {
		f.refuse("selinuxContext", "a tap has the label of the process that makes it, which is the agent; run the agent with the label "+context)
	}
	if s.MAC == nil {
		s.MAC = argsMAC(f)
	}
	s.ignored = f.warnings()
	return s, f.err
}

// id reads the number of a user or group.
func (f *fields) id(key string) *uint32 {
	var n uint32
	if !f.into(key, "the number of a user or group", &n) {
		return nil
	}
	return &n
}

// Type is "tap".
func (Tap) Type() string                    { return "tap" }
func (Tap) notices() notices                { return notices{arp: true} }
func (s Tap) link() (net.HardwareAddr, int) { return s.MAC, s.MTU }
func (Tap) module() kernelModule            { return kernelModule{"tun", "CONFIG_TUN"} }

// prepare makes the tap: the kernel has no message for it, so it cannot wait for the others.
func (s Tap) prepare(t *transaction, j *job) error {
	links, err := t.pod.Links()
	if err != nil {
		return err
	}
	for _, l := range links {
		if l.Name != j.IfName {
			continue
		}
		if l.Group != link.Group {
			return NameTaken{IfName: l.Name, By: describe(l)}
		}
		if t.complete(j, l) {
			j.kept = true
			return nil
		}
		if err := t.pod.Apply(link.DeleteIndex(l.Name, l.Index).Forgiving()); err != nil {
			return err
		}
	}
	if err := t.ns.Do(func() error {
		return link.MakeTapHere(link.Tap{Name: j.IfName, MultiQueue: s.MultiQueue, Owner: s.Owner, Group: s.Group})
	}); err != nil {
		return j.explain(err)
	}
	j.made = true
	l, err := t.pod.ByName(j.IfName)
	if err != nil {
		return err
	}
	group := uint32(link.Group)
	return t.pod.Apply(link.Set(link.Change{Device: l.Name, Index: l.Index, Group: &group, MAC: j.mac, MTU: j.mtu}))
}

// join makes it a port of the Pod's bridge, which may be one that another attachment has made.
func (s Tap) join(t *transaction, j *job) error {
	if s.Bridge == "" {
		return nil
	}
	br, err := t.pod.ByName(s.Bridge)
	if link.Missing(err) || err == nil && br.Kind != "bridge" {
		return BadConfig{Type: "tap", Field: "bridge", Message: "the Pod has no bridge " + s.Bridge,
			Hint: "the bridge is one inside the Pod, made by a network before this one in the annotation"}
	}
	if err != nil {
		return err
	}
	return t.pod.Apply(link.Set(link.Change{Device: j.IfName, Index: j.inside.Index, Master: &br.Index}))
}

func (s Tap) record(_ *job, w *Wired) {
	w.Kind, w.Below = "tun", s.Bridge
	w.Tap = &link.TapInfo{MultiQueue: s.MultiQueue, Owner: s.Owner, Group: s.Group}
}
