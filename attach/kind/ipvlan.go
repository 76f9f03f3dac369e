package kind

import (
	"net"

	"github.com/tsunagu-net/tsunagu/kernel/link"
)

// IPVLAN is an interface that shares the hardware address of the link below; packets find it by its addresses.
type IPVLAN struct {
	plain
	Below
	// Mode is l2, l3 or l3s. All on one link have the same.
	Mode string
}

func parseIPVLAN(f *fields) (Spec, error) {
	s := IPVLAN{Below: parseBelow(f), Mode: f.choice("mode", "l2", "l3", "l3s")}
	if s.Master == "" {
		s.Master = chainedInterface(f)
	}
	s.ignored = f.warnings()
	return s, f.err
}

// chainedInterface is the one interface of the plugin before in a list, which is the master when none is named.
func chainedInterface(f *fields) string {
	var before struct {
		Interfaces []struct {
			Name string `json:"name"`
		} `json:"interfaces"`
	}
	if !f.into("prevResult", "a result", &before) {
		return ""
	}
	if len(before.Interfaces) != 1 || before.Interfaces[0].Name == "" {
		f.fail("prevResult", "chained master failure. PrevResult lacks a single named interface")
		return ""
	}
	return before.Interfaces[0].Name
}

// Type is "ipvlan".
func (IPVLAN) Type() string { return "ipvlan" }

// Segment is the uplink.
func (s IPVLAN) Segment() string { return s.segment("ipvlan", "") }

// leaves: in the modes l3 and l3s nobody is asked for addresses.
func (s IPVLAN) leaves(*job) bool   { return !s.InPod && s.Mode == "l2" }
func (IPVLAN) keepsMAC() bool       { return true }
func (IPVLAN) notices() notices     { return notices{arp: true, ndisc: true} }
func (s IPVLAN) stacked() bool      { return s.InPod }
func (s IPVLAN) standsOn() Below    { return s.Below }
func (IPVLAN) module() kernelModule { return kernelModule{"ipvlan", "CONFIG_IPVLAN"} }
func (IPVLAN) inUse() string        { return "has another use, such as macvlan or a bridge" }

func (s IPVLAN) check(a *Attachment) error {
	if a.MAC != nil {
		return BadConfig{Type: "ipvlan", Field: "mac", Message: "it shares the hardware address of its master",
			Hint: "ask for no MAC, or use macvlan"}
	}
	return nil
}

func (s IPVLAN) link() (net.HardwareAddr, int)        { return nil, s.MTU }
func (s IPVLAN) prepare(t *transaction, j *job) error { return s.find(t, j) }
func (s IPVLAN) record(j *job, w *Wired)              { s.Below.record(j, w); w.Mode = s.Mode }
func (s IPVLAN) create(t *transaction, j *job) (link.Op, bool) {
	return link.NewIPVLAN(s.end(t, j), j.below.Index, s.Mode), true
}
