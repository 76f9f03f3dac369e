package trunk

import "fmt"

// Reason is why a frame was dropped, as a word for metrics.
type Reason string

// reasons in the order of switch.c.
var reasons = []Reason{"", "unknown-port", "malformed", "tagged", "foreign-mac", "foreign-ip", "foreign-arp",
	"foreign-neighbour", "router-advertisement", "own-mac-outside", "double-tagged", "not-sent"}

// The reasons of frames that a Pod sends.
const (
	Tagged              Reason = "tagged"
	ForeignMAC          Reason = "foreign-mac"
	ForeignIP           Reason = "foreign-ip"
	ForeignARP          Reason = "foreign-arp"
	ForeignNeighbour    Reason = "foreign-neighbour"
	RouterAdvertisement Reason = "router-advertisement"
)

// Drops is a number of frames that were dropped.
type Drops struct {
	// Port is the interface they came in by; 0 when they came in by the trunk.
	Port, Trunk, VLAN int
	Reason            Reason
	Frames            uint64
}

// Drops counts what was dropped of the ports and trunks that exist.
func (s *Switch) Drops() ([]Drops, error) {
	var k dropKey
	var n uint64
	var found []Drops
	all := s.objects.TsuDrop.Iterate()
	for all.Next(&k, &n) {
		reason := Reason("unknown")
		if int(k.Reason) < len(reasons) {
			reason = reasons[k.Reason]
		}
		found = append(found, Drops{Port: int(k.Port), Trunk: int(k.Trunk), VLAN: int(k.VLAN), Reason: reason, Frames: n})
	}
	if err := all.Err(); err != nil {
		return nil, fmt.Errorf("read the dropped frames: %w", err)
	}
	return found, nil
}
