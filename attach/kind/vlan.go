package kind

import (
	"net"
	"strconv"

	"github.com/tsunagu-net/tsunagu/kernel/link"
)

// VLAN is the 802.1Q sub-interface of a link, moved into the Pod. A link has one of each ID: a second Pod of the node cannot have it.
type VLAN struct {
	plain
	Below
	// ID of the VLAN, 1 to 4094; 0 is the tag of frames with a priority and no VLAN.
	ID uint16
}

func parseVLAN(f *fields) (Spec, error) {
	s := VLAN{Below: parseBelow(f), ID: uint16(f.number("vlanId", 0, 4094))}
	if s.Master == "" {
		f.fail("master", `"master" field is required. It specifies the host interface name to create the VLAN for`)
	}
	s.ignored = f.warnings()
	return s, f.err
}

// Type is "vlan".
func (VLAN) Type() string { return "vlan" }

// Segment is the uplink with the VLAN.
func (s VLAN) Segment() string    { return s.segment("vlan", "."+strconv.Itoa(int(s.ID))) }
func (s VLAN) leaves(*job) bool   { return !s.InPod }
func (VLAN) keepsMAC() bool       { return true }
func (s VLAN) stacked() bool      { return s.InPod }
func (s VLAN) standsOn() Below    { return s.Below }
func (VLAN) module() kernelModule { return kernelModule{"8021q", "CONFIG_VLAN_8021Q"} }
func (s VLAN) inUse() string {
	return "has VLAN " + strconv.Itoa(int(s.ID)) + " already, in another Pod or on the node, and an interface has each VLAN once"
}

func (s VLAN) link() (net.HardwareAddr, int)        { return nil, s.MTU }
func (s VLAN) prepare(t *transaction, j *job) error { return s.find(t, j) }
func (s VLAN) record(j *job, w *Wired)              { s.Below.record(j, w); w.VLAN = int(s.ID) }
func (s VLAN) create(t *transaction, j *job) (link.Op, bool) {
	return link.NewVLAN(s.end(t, j), j.below.Index, s.ID), true
}
