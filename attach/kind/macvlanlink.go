package kind

import (
	"fmt"
	"net"

	"github.com/tsunagu-net/tsunagu/kernel/link"
)

func (s Macvlan) link() (net.HardwareAddr, int) { return s.MAC, s.MTU }

// prepare finds the uplink. One that is down is set up: it has nobody else who would.
func (s Macvlan) prepare(t *transaction, j *job) error {
	if s.Mode == "passthru" {
		if j.asked {
			return BadConfig{Type: "macvlan", Field: "mac", Message: "mode passthru uses the uplink's own address"}
		}
		j.mac = nil
	}
	uplink, err := t.uplink("macvlan", s.Master)
	if err != nil {
		return err
	}
	if uplink.Master != 0 {
		return DeviceBusy{Type: "macvlan", Device: uplink.Name, Why: "belongs to " + t.nameOf(uplink.Master) + ", which takes all its packets"}
	}
	if uplink.Loopback {
		return DeviceBusy{Type: "macvlan", Device: uplink.Name, Why: "is the loopback interface"}
	}
	if j.mtu > uplink.MTU {
		return BadConfig{Type: "macvlan", Field: "mtu", Message: fmt.Sprintf("%d is more than the %d of %s", j.mtu, uplink.MTU, uplink.Name)}
	}
	j.below = uplink
	if uplink.Up {
		return nil
	}
	j.warnings = append(j.warnings, fmt.Sprintf("uplink %s was down and has been set up", uplink.Name))
	return t.node.Apply(link.Up(uplink.Name, uplink.Index))
}

func (s Macvlan) create(t *transaction, j *job) (link.Op, bool) {
	name := j.IfName
	if j.renamed {
		name = j.hostIf
	}
	return link.NewMacvlan(
		link.End{Name: name, MAC: j.mac, MTU: j.mtu, Group: link.Group, NS: t.ns,
			Down: j.renamed}, // kernels before 6.2 do not rename what is up
		link.Macvlan{Parent: j.below.Index, Mode: s.Mode, BroadcastQueue: s.BCQueueLen},
	), true
}

func (s Macvlan) record(j *job, w *Wired) { w.Master = j.below.Name }
