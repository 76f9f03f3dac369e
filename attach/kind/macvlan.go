package kind

import (
	"net"

	"github.com/tsunagu-net/tsunagu/kernel/link"
)

// Macvlan is an interface with a MAC of its own on the link below.
type Macvlan struct {
	plain
	Below
	// Mode is bridge, private, vepa or passthru.
	Mode string
	// BCQueueLen is the wanted length of the uplink's broadcast queue, 0 for the kernel's own.
	BCQueueLen uint32
	// MAC of the configuration; Attachment.MAC comes first.
	MAC net.HardwareAddr
}

func parseMacvlan(f *fields) (Spec, error) {
	s := Macvlan{
		Below:      parseBelow(f),
		Mode:       f.choice("mode", "bridge", "private", "vepa", "passthru"),
		BCQueueLen: uint32(f.number("bcqueuelen", 0, 1<<31-1)),
		MAC:        f.mac("mac"),
	}
	masquerade := f.flag("ipMasq")
	if s.MAC == nil {
		s.MAC = argsMAC(f)
	}
	s.ignored = f.warnings()
	if masquerade {
		s.ignored = append(s.ignored, `macvlan configuration: "ipMasq" has no effect, packets do not pass the node`)
	}
	return s, f.err
}

// Type is "macvlan".
func (Macvlan) Type() string { return "macvlan" }

// Segment is the uplink.
func (s Macvlan) Segment() string { return s.segment("macvlan", "") }

func (s Macvlan) leaves(*job) bool              { return !s.InPod }
func (s Macvlan) stacked() bool                 { return s.InPod }
func (s Macvlan) standsOn() Below               { return s.Below }
func (Macvlan) notices() notices                { return notices{arp: true, ndisc: true} }
func (Macvlan) module() kernelModule            { return kernelModule{"macvlan", "CONFIG_MACVLAN"} }
func (s Macvlan) link() (net.HardwareAddr, int) { return s.MAC, s.MTU }

func (s Macvlan) prepare(t *transaction, j *job) error {
	if s.Mode == "passthru" {
		if j.asked {
			return BadConfig{Type: "macvlan", Field: "mac", Message: "mode passthru uses the uplink's own address"}
		}
		j.mac = nil
	}
	return s.find(t, j)
}

func (s Macvlan) create(t *transaction, j *job) (link.Op, bool) {
	return link.NewMacvlan(s.end(t, j), link.Macvlan{Parent: j.below.Index, Mode: s.Mode, BroadcastQueue: s.BCQueueLen}), true
}

func (s Macvlan) record(j *job, w *Wired) {
	s.Below.record(j, w)
	w.Mode = s.Mode
}
