package segment

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tsunagu-net/tsunagu/kernel/clock"
	"github.com/tsunagu-net/tsunagu/kernel/fence"
	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/kernel/wire"
	"github.com/tsunagu-net/tsunagu/vip/carrier"
	"github.com/tsunagu-net/tsunagu/vip/lease"
)

// Config of a Segment.
type Config struct {
	// Interface is the one on the segment of the addresses.
	Interface string
	Addresses []netip.Addr
	Log       *slog.Logger
}

// Segment is a vip.Announcer.
type Segment struct {
	Config
	conn    *link.Conn
	fence   *fence.Fence
	carrier *carrier.Carrier

	until atomic.Int64 // what was allowed last
	owns  atomic.Bool
	since atomic.Int64 // when it began to own
	mute  atomic.Bool  // the kernel does not answer ARP here
	up    atomic.Bool

	turn   chan struct{}
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex
	nic     link.Link // the interface as it is
	station *wire.Station
	hush    context.CancelFunc // of the station's listeners

	said    spoken
	strange stranger
}

// Open guards the addresses, with a closed fence, removes what a former run or
// another program left of them, and begins to follow Own.
func Open(c Config) (*Segment, error) {
	s := &Segment{Config: c, turn: make(chan struct{}, 1), done: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if err := s.open(); err != nil {
		s.cancel()
		s.release()
		return nil, err
	}
	go s.keep()
	return s, nil
}

func (s *Segment) open() (err error) {
	if s.conn, err = link.DialHere(); err != nil {
		return err
	}
	nic, err := s.conn.ByName(s.Interface)
	if err != nil {
		return fmt.Errorf("look at the interface of the addresses: %w", err)
	}
	if len(nic.MAC) != 6 {
		return fmt.Errorf("interface %s is no Ethernet: ARP and neighbour discovery have nobody to speak to there", s.Interface)
	}
	if s.fence, err = fence.New(); err != nil {
		return err
	}
	if err := s.fence.Guard(s.Addresses...); err != nil {
		return err
	}
	if err := s.bind(nic); err != nil {
		return err
	}
	s.carrier, err = carrier.New(s.conn, s.Addresses, s.Log)
	return err
}

// bind follows the interface: it may have been made again under its name, or have
// got another hardware address.
func (s *Segment) bind(nic link.Link) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.up.Store(nic.Up && nic.Carrier)
	s.mute.Store(quiet(s.Interface))
	was := s.nic
	if s.nic = nic; was.Index == nic.Index {
		return nil
	}
	s.nic = was // until all is done
	if err := s.fence.Attach(nic.Index); err != nil {
		return err
	}
	station, err := wire.StationHere(nic.Index, s.Addresses...)
	if err != nil {
		return err
	}
	if s.hush != nil {
		s.hush()
		s.station.Close()
	}
	ctx, hush := context.WithCancel(s.ctx)
	s.station, s.hush, s.nic = station, hush, nic
	station.Hear(ctx, s.heard)
	return nil
}

// quiet tells whether the kernel answers no ARP on the interface for addresses of
// others (arp_ignore): kube-proxy's IPVS mode with strictARP, for one, wants that.
func quiet(device string) bool {
	for _, of := range []string{"all", device} {
		if v := link.ReadHere("ipv4/conf/" + of + "/arp_ignore"); v != "" && v != "0" {
			return true
		}
	}
	return false
}

// Allow is of vip.Announcer.
func (s *Segment) Allow(until lease.Instant) error {
	s.until.Store(int64(until))
	return s.fence.Allow(time.Duration(until))
}

// Own is of vip.Announcer.
func (s *Segment) Own(owns bool) {
	if owns {
		s.since.Store(int64(clock.Boot()))
	}
	s.owns.Store(owns)
	select {
	case s.turn <- struct{}{}:
	default:
	}
}

// allowed tells whether the addresses may be used now.
func (s *Segment) allowed() bool { return int64(clock.Boot()) < s.until.Load() }

// Up tells whether the interface works, so far as the node can tell.
func (s *Segment) Up() bool { return s.up.Load() }

// Dropped is how many frames the fence kept from coming in and going out.
func (s *Segment) Dropped() (in, out uint64, err error) { return s.fence.Dropped() }

// Close removes the addresses and their device. The fence stays closed until the
// next Open, or fence.Remove.
func (s *Segment) Close() error {
	s.owns.Store(false)
	s.cancel()
	<-s.done
	err := errors.Join(s.fence.Allow(0), s.carrier.Remove())
	if err == nil { // with the address gone there is nothing to guard, and another program may be told to have it here
		s.mu.Lock()
		err = s.fence.Detach(s.nic.Index)
		s.mu.Unlock()
	}
	s.release()
	return err
}

func (s *Segment) release() {
	if s.station != nil {
		s.station.Close()
	}
	if s.fence != nil {
		s.fence.Close()
	}
	if s.conn != nil {
		s.conn.Close()
	}
}

func (s *Segment) mac() net.HardwareAddr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.nic.MAC
}
