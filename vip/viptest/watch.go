package viptest

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/tsunagu-net/tsunagu/kernel/wire"
)

// Watch looks at an address from the client: how long nobody answers, and who
// claims to have it.
type Watch struct {
	vip     netip.Addr
	began   time.Time
	cancel  context.CancelFunc
	parts   sync.WaitGroup
	conn    *net.UDPConn
	station *wire.Station

	mu      sync.Mutex
	sent    []time.Duration // since began
	heard   []bool
	by      []string
	claimed []Claim
	stalls  []stall // nil unless Fair was called
}

// Claim is one frame that says that a MAC has the address.
type Claim struct {
	At  time.Duration
	MAC string
}

// probeEvery is the time between two datagrams of the client, askEvery between two
// questions of the witness.
const (
	probeEvery = 2 * time.Millisecond
	askEvery   = 5 * time.Millisecond
)

// Watch begins to watch.
func (s *Site) Watch(vip netip.Addr) (*Watch, error) {
	w := &Watch{vip: vip, began: time.Now()}
	err := s.Client.Do(func() error {
		nic, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		if w.station, err = wire.StationHere(nic.Index); err != nil {
			return err
		}
		if w.conn, err = net.ListenUDP("udp", nil); err != nil {
			return err
		}
		var ctx context.Context
		ctx, w.cancel = context.WithCancel(context.Background())
		own := client
		if vip.Is6() {
			own = netip.MustParseAddr("fd77::9")
		}
		w.station.Hear(ctx, w.claim)
		w.parts.Go(func() { w.ask(ctx, wire.Question{Index: nic.Index, MAC: nic.HardwareAddr, Target: vip, From: own}) })
		w.parts.Go(func() { w.probe(ctx) })
		w.parts.Go(w.listen)
		return nil
	})
	return w, err
}

func (w *Watch) ask(ctx context.Context, q wire.Question) {
	for t := time.NewTicker(askEvery); ctx.Err() == nil; <-t.C {
		_ = w.station.Ask(q)
	}
}

func (w *Watch) claim(said wire.Said) {
	if said.Has != w.vip {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.claimed = append(w.claimed, Claim{time.Since(w.began), said.MAC.String()})
}

func (w *Watch) probe(ctx context.Context) {
	var b [8]byte
	for t := time.NewTicker(probeEvery); ctx.Err() == nil; <-t.C {
		w.mu.Lock()
		binary.BigEndian.PutUint64(b[:], uint64(len(w.sent)))
		w.sent, w.heard, w.by = append(w.sent, time.Since(w.began)), append(w.heard, false), append(w.by, "")
		w.mu.Unlock()
		_, _ = w.conn.WriteToUDPAddrPort(b[:], netip.AddrPortFrom(w.vip, echoPort))
	}
}

func (w *Watch) listen() {
	var b [64]byte
	for {
		n, _, err := w.conn.ReadFromUDPAddrPort(b[:])
		if err != nil {
			return
		}
		if n < 8 {
			continue
		}
		w.mu.Lock()
		if i := binary.BigEndian.Uint64(b[:]); i < uint64(len(w.heard)) {
			w.heard[i], w.by[i] = true, string(b[8:n])
		}
		w.mu.Unlock()
	}
}

// Mark is the time of the watch.
func (w *Watch) Mark() time.Duration { return time.Since(w.began) }

// Answered waits until the client was answered after a mark, by another node than
// not, and tells by whom.
func (w *Watch) Answered(after time.Duration, not string, patience time.Duration) (by string, ok bool) {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		w.mu.Lock()
		for i := len(w.sent) - 1; i >= 0 && w.sent[i] >= after; i-- {
			if w.heard[i] && w.by[i] != not {
				by, ok = w.by[i], true
				break
			}
		}
		w.mu.Unlock()
		if ok {
			return by, true
		}
	}
	return "", false
}

// Gap is the longest time, from a mark on, between two questions of the client
// that were answered.
func (w *Watch) Gap(from time.Duration) time.Duration {
	gap, _ := w.GapAt(from)
	return gap
}

// GapAt is Gap, and how long after the mark it began. A time in which the client
// itself asked nothing, as on a busy machine, is none.
func (w *Watch) GapAt(from time.Duration) (gap, at time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	last, missed := time.Duration(-1), false
	for i, sent := range w.sent {
		if !w.heard[i] {
			missed = true
			continue
		}
		if lost := sent - last - w.stalled(last, sent); missed && last >= 0 && sent >= from && lost > gap {
			gap, at = lost, last-from
		}
		last, missed = sent, false
	}
	return gap, at
}

// Stop ends the watch.
func (w *Watch) Stop() {
	w.cancel()
	w.conn.Close()
	w.station.Close()
	w.parts.Wait()
}

// calm is how long a node that has the address is silent at most while it is asked
// all the time.
const calm = 150 * time.Millisecond

// Both is for how long two nodes said at the same time that they have the address.
func (w *Watch) Both() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return both(w.claimed)
}

// both adds up where the reigns of different MACs lie over each other. A reign is a
// row of claims without a longer silence.
func both(claims []Claim) (sum time.Duration) {
	type reign struct {
		mac      string
		from, to time.Duration
	}
	var all []reign
	open := map[string]int{}
	for _, c := range claims {
		if i, ok := open[c.MAC]; ok && c.At-all[i].to <= calm {
			all[i].to = c.At
			continue
		}
		open[c.MAC] = len(all)
		all = append(all, reign{c.MAC, c.At, c.At})
	}
	slices.SortFunc(all, func(a, b reign) int { return int(a.from - b.from) })
	for i, a := range all {
		for _, b := range all[i+1:] {
			if b.mac != a.mac && b.from < a.to {
				sum += min(a.to, b.to) - b.from
			}
		}
	}
	return sum
}

// Claims is everything that was claimed so far.
func (w *Watch) Claims() []Claim {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.claimed)
}
