package kind

import "net"

// Macvlan is an interface with a MAC of its own on an uplink of the node.
type Macvlan struct {
	plain
	// Master is the uplink; "" means the one with the node's default route.
	Master string
	// Mode is bridge, private, vepa or passthru.
	Mode string
	// MTU in bytes, 0 for the uplink's.
	MTU int
	// BCQueueLen is the wanted length of the uplink's broadcast queue, 0 for the kernel's own.
	BCQueueLen uint32
	// MAC of the configuration; Attachment.MAC comes first.
	MAC net.HardwareAddr
}

func parseMacvlan(f *fields) (Spec, error) {
	s := Macvlan{
		Master:     f.device("master"),
		Mode:       f.choice("mode", "bridge", "private", "vepa", "passthru"),
		MTU:        f.mtu(),
		BCQueueLen: uint32(f.number("bcqueuelen", 0, 1<<31-1)),
		MAC:        f.mac("mac"),
	}
	if f.flag("linkInContainer") {
		f.refuse("linkInContainer", "the master is always an interface of the node")
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

// Segment is the uplink.
func (s Macvlan) Segment() string { return "macvlan/" + s.Master }

func (Macvlan) leaves(*job) bool { return true }

// Type is "macvlan".
func (Macvlan) Type() string { return "macvlan" }
