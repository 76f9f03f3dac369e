package vip

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"

	"github.com/tsunagu-net/tsunagu/vip/datagram"
	"github.com/tsunagu-net/tsunagu/vip/lease"
)

// DefaultPort is the UDP port between nodes.
const DefaultPort = 4792

// Config of an Agent.
type Config struct {
	// Node is the address under which the other control-plane nodes reach this
	// one. It is its name among them, too.
	Node netip.Addr
	Port uint16
	// Peers are the control-plane nodes, this one included or not, as they are
	// when none of them has run yet. None means that this node is the first and
	// so far the only one, unless Join.
	Peers []netip.Addr
	// Join makes a node without a list ask these to be taken in: nodes, or the
	// address that is owned.
	Join []netip.Addr
	// Timing, Weight and Preempt are those of lease.Config. Weight 0 makes a
	// witness.
	Timing  lease.Timing
	Weight  int
	Preempt bool
	Key     datagram.Key
	// StateDir is where the list of members is kept over reboots; RunDir is
	// lost with one.
	StateDir, RunDir string
	// Addresses are those that are owned. Who asks to be taken in may ask there.
	Addresses []netip.Addr
	Announcer Announcer
	// Now is the node's time (CLOCK_BOOTTIME).
	Now func() lease.Instant
	Log *slog.Logger
}

// Announcer makes the network send what is for the addresses to this node, and
// only while it owns. There is one of each way to do that: vip/segment does it
// with ARP and neighbour discovery.
type Announcer interface {
	// Allow lets the addresses be used until then, or no more if that has
	// passed, whatever becomes of this process (kernel/fence).
	Allow(until lease.Instant) error
	// Own hears that this node owns (until further notice), or not any more,
	// after Allow was told. It must not block.
	Own(owns bool)
}

func (c *Config) check() error {
	switch {
	case !c.Node.IsValid() || c.Node.IsUnspecified() || c.Node.IsLoopback():
		return fmt.Errorf("vip: the node's own address %s is none that other nodes reach", c.Node)
	case c.StateDir == "" || c.RunDir == "":
		return errors.New("vip: a directory for state and one for run-time files are needed")
	case c.Announcer == nil || c.Now == nil || c.Log == nil:
		return errors.New("vip: announcer, clock and log are needed")
	}
	for _, p := range slices.Concat(c.Peers, c.Join) {
		if p == c.Node && !slices.Contains(c.Peers, p) {
			return fmt.Errorf("vip: node %s cannot ask itself to be taken in", p)
		}
		if !p.IsValid() || p.Is4() != c.Node.Is4() {
			return fmt.Errorf("vip: peer %s is not of the address family of the node's own address %s", p, c.Node)
		}
	}
	if c.Port == 0 {
		c.Port = DefaultPort
	}
	if c.Timing == (lease.Timing{}) {
		c.Timing = lease.Default
	}
	return nil
}

// Known tells whether the node has been a member before.
func (c *Config) Known() (bool, error) {
	_, known, err := readKept(c.keptPath())
	return known, err
}

func (c *Config) keptPath() string { return filepath.Join(c.StateDir, "members.json") }

// start is what the lease starts with: what was kept, else what is configured.
func (c *Config) start() (lease.Kept, error) {
	kept, known, err := readKept(c.keptPath())
	if err != nil || known || len(c.Join) > 0 && len(c.Peers) == 0 {
		return kept, err
	}
	ids := []lease.ID{id(c.Node)}
	for _, p := range c.Peers {
		if !slices.Contains(ids, id(p)) {
			ids = append(ids, id(p))
		}
	}
	kept.Members, err = lease.NewMembers(ids...)
	return kept, err
}

func id(a netip.Addr) lease.ID { return lease.ID(a.String()) }
