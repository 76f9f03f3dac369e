package wire_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
	"github.com/tsunagu-net/tsunagu/kernel/wire"
)

// segment is a node with an uplink to an outside, and a Pod and a sibling on it.
type segment struct {
	testing.TB
	node, outside, pod, sibling *netns.Namespace
}

var segments atomic.Int32

func newSegment(t testing.TB) *segment {
	s := &segment{TB: t}
	n := segments.Add(1)
	for name, ns := range map[string]**netns.Namespace{"node": &s.node, "out": &s.outside, "pod": &s.pod, "sib": &s.sibling} {
		name = fmt.Sprintf("tst-wire-%d-%d-%s", os.Getpid(), n, name)
		made, err := netns.Create(name)
		s.must(err)
		*ns = made
		t.Cleanup(func() { made.Close(); netns.Delete(name) })
	}
	s.apply(s.node, link.NewVeth(link.End{Name: "up"}, link.End{Name: "wire", NS: s.outside}))
	s.up(s.outside, "wire")
	return s
}

func (s *segment) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *segment) apply(in *netns.Namespace, ops ...link.Op) {
	s.Helper()
	c, err := link.Dial(in)
	s.must(err)
	defer c.Close()
	s.must(c.Apply(ops...))
}

func (s *segment) link(in *netns.Namespace, name string) link.Link {
	s.Helper()
	c, err := link.Dial(in)
	s.must(err)
	defer c.Close()
	l, err := c.ByName(name)
	s.must(err)
	return l
}

// up sets an interface up and gives it addresses.
func (s *segment) up(in *netns.Namespace, name string, addresses ...string) link.Link {
	s.Helper()
	l := s.link(in, name)
	ops := []link.Op{link.Up(name, l.Index)}
	for _, a := range addresses {
		ops = append(ops, link.AddAddress(name, l.Index, netip.MustParsePrefix(a), link.AddressOptions{}))
	}
	s.apply(in, ops...)
	return l
}

// macvlans puts the Pod and the sibling onto the uplink.
func (s *segment) macvlans() {
	s.Helper()
	up := s.up(s.node, "up")
	for _, ns := range []*netns.Namespace{s.pod, s.sibling} {
		s.apply(s.node, link.NewMacvlan(link.End{Name: "net1", NS: ns}, link.Macvlan{Parent: up.Index, Mode: "bridge"}))
	}
}

// ports puts the Pod, the sibling and the uplink onto a bridge.
func (s *segment) ports() {
	s.Helper()
	s.apply(s.node, link.NewBridge(link.End{Name: "br"}))
	br := s.up(s.node, "br")
	up, yes := s.link(s.node, "up"), true
	s.apply(s.node, link.Set(link.Change{Device: "up", Index: up.Index, Master: &br.Index, Up: &yes}))
	for i, ns := range []*netns.Namespace{s.pod, s.sibling} {
		s.apply(s.node, link.NewVeth(link.End{Name: fmt.Sprint("port", i), Master: br.Index}, link.End{Name: "net1", NS: ns}))
	}
}

// ask asks from an interface, and says which of the addresses somebody has, by whose MAC, and how long that took.
func (s *segment) ask(in *netns.Namespace, name string, from netip.Addr, targets ...string) (map[string]string, time.Duration) {
	s.Helper()
	l := s.link(in, name)
	var questions []wire.Question
	for _, t := range targets {
		questions = append(questions, wire.Question{Index: l.Index, MAC: l.MAC, Target: netip.MustParseAddr(t), From: from})
	}
	var asker *wire.Asker
	s.must(in.Do(func() (err error) {
		asker, err = wire.AskHere(questions)
		return err
	}))
	defer asker.Close()
	began := time.Now()
	seen, err := asker.Ask(context.Background(), 2, 50*time.Millisecond)
	s.must(err)
	took := time.Since(began)
	found := map[string]string{}
	for _, one := range seen {
		found[one.Target.String()] = one.MAC.String()
	}
	return found, took
}

const outside4, outside6, sibling4, sibling6, node4, node6, free4, free6 = "192.0.2.9", "fd00::9", "192.0.2.8", "fd00::8", "192.0.2.7", "fd00::7", "192.0.2.6", "fd00::6"

// What an interface that was just made hears: the wire, and the other Pods of the node. A macvlan does not hear the node itself, which
// is why attach/kind looks at the node's own addresses.
func TestWhoIsHeard(t *testing.T) {
	all := []string{outside4, outside6, sibling4, sibling6, node4, node6, free4, free6}
	for _, c := range []struct {
		kind string
		make func(*segment)
		node string
		want []string
	}{
		{"macvlan", (*segment).macvlans, "up", []string{outside4, outside6, sibling4, sibling6}},
		{"bridge", (*segment).ports, "br", []string{outside4, outside6, sibling4, sibling6, node4, node6}},
	} {
		t.Run(c.kind, func(t *testing.T) {
			s := newSegment(t)
			s.up(s.outside, "wire", outside4+"/24", outside6+"/64")
			c.make(s)
			s.up(s.sibling, "net1", sibling4+"/24", sibling6+"/64")
			s.up(s.node, c.node, node4+"/24", node6+"/64")
			s.up(s.pod, "net1")
			settle(s)
			found, _ := s.ask(s.pod, "net1", netip.Addr{}, all...)
			for _, a := range all {
				if _, have := found[a]; have != slices.Contains(c.want, a) {
					t.Errorf("%s is seen: %v", a, have)
				}
			}
			want := s.link(s.outside, "wire").MAC.String()
			if found[outside4] != want || found[outside6] != want {
				t.Errorf("outside is %s and %s, has %s", found[outside4], found[outside6], want)
			}
		})
	}
}

// settle waits until the addresses that were just set answer: IPv6 ones are tentative at first, and a tentative one is silent.
func settle(s *segment) {
	s.Helper()
	for range 100 {
		if found, _ := s.ask(s.pod, "net1", netip.Addr{}, outside6); len(found) == 1 {
			return
		}
	}
	s.Fatal("the outside does not answer")
}

// Many addresses cost one wait, and the answer of all ends it early.
func TestManyQuestionsCostOneWait(t *testing.T) {
	s := newSegment(t)
	s.macvlans()
	s.up(s.pod, "net1")
	var many []string
	for i := range 64 {
		many = append(many, fmt.Sprintf("192.0.2.%d", 100+i), fmt.Sprintf("fd00::%x", 0x100+i))
	}
	found, took := s.ask(s.pod, "net1", netip.Addr{}, many...)
	if len(found) != 0 || took < 50*time.Millisecond || took > 500*time.Millisecond {
		t.Errorf("took %v, found %v", took, found)
	}
	s.up(s.outside, "wire", outside4+"/24")
	if found, took = s.ask(s.pod, "net1", netip.Addr{}, outside4); len(found) != 1 || took >= 50*time.Millisecond {
		t.Errorf("took %v, found %v", took, found)
	}
}

// Of two who look for the same address at the same time at least one sees the other (RFC 5227 clause 2.1.1, RFC 4862 clause 5.4.3).
func TestAnotherProbeCounts(t *testing.T) {
	s := newSegment(t)
	s.macvlans()
	pod, wireEnd := s.up(s.pod, "net1"), s.up(s.outside, "wire")
	for _, target := range []string{free4, free6} {
		var other *wire.Asker
		s.must(s.outside.Do(func() (err error) {
			other, err = wire.AskHere([]wire.Question{{Index: wireEnd.Index, MAC: wireEnd.MAC, Target: netip.MustParseAddr(target)}})
			return err
		}))
		defer other.Close()
		type answer struct {
			seen []wire.Sighting
			err  error
		}
		done := make(chan answer, 1)
		go func() {
			seen, err := other.Ask(context.Background(), 3, 300*time.Millisecond)
			done <- answer{seen, err}
		}()
		found := map[string]string{}
		for deadline := time.Now().Add(250 * time.Millisecond); len(found) == 0 && time.Now().Before(deadline); {
			found, _ = s.ask(s.pod, "net1", netip.Addr{}, target)
		}
		theirs := <-done
		s.must(theirs.err)
		if len(found)+len(theirs.seen) == 0 || len(found) == 1 && found[target] != wireEnd.MAC.String() ||
			len(theirs.seen) == 1 && theirs.seen[0].MAC.String() != pod.MAC.String() {
			t.Errorf("%s: the Pod sees %v, the other %v", target, found, theirs.seen)
		}
	}
}

// Nodes that look for the same gateway at the same time do not take each other for it.
func TestPresentIsNotAnotherProbe(t *testing.T) {
	s := newSegment(t)
	s.macvlans()
	pod, wireEnd := s.up(s.pod, "net1"), s.up(s.outside, "wire")
	for _, target := range []netip.Addr{netip.MustParseAddr(free4), netip.MustParseAddr(free6)} {
		var askers [2]*wire.Asker
		for i, from := range []struct {
			ns *netns.Namespace
			l  link.Link
		}{{s.pod, pod}, {s.outside, wireEnd}} {
			s.must(from.ns.Do(func() (err error) {
				askers[i], err = wire.AskHere([]wire.Question{{Index: from.l.Index, MAC: from.l.MAC, Target: target, Present: true}})
				return err
			}))
			defer askers[i].Close()
		}
		var found [2][]wire.Sighting
		var both sync.WaitGroup
		for i, a := range askers {
			both.Go(func() { found[i], _ = a.Ask(context.Background(), 3, 200*time.Millisecond) })
		}
		both.Wait()
		if len(found[0])+len(found[1]) > 0 {
			t.Errorf("%s is nobody's: %v", target, found)
		}
	}
}

// A gateway answers an ordinary question; somebody else's probe for its address is no answer then.
func TestAskWithSender(t *testing.T) {
	s := newSegment(t)
	s.macvlans()
	s.up(s.outside, "wire", outside4+"/24", outside6+"/64")
	s.up(s.pod, "net1", "192.0.2.1/24", "fd00::1/64")
	settle(s)
	for from, to := range map[string]string{"192.0.2.1": outside4, "fd00::1": outside6} {
		if found, _ := s.ask(s.pod, "net1", netip.MustParseAddr(from), to); len(found) != 1 {
			t.Errorf("%s does not hear %s", from, to)
		}
	}
	if found, _ := s.ask(s.pod, "net1", netip.MustParseAddr("192.0.2.1"), free4); len(found) != 0 {
		t.Errorf("found %v", found)
	}
}

// When the kernel refuses to send, that is an error and not silence.
func TestAskOnInterfaceThatIsDown(t *testing.T) {
	s := newSegment(t)
	s.macvlans()
	l := s.link(s.pod, "net1")
	no := false
	s.apply(s.pod, link.Set(link.Change{Device: "net1", Index: l.Index, Up: &no}))
	var asker *wire.Asker
	s.must(s.pod.Do(func() (err error) {
		asker, err = wire.AskHere([]wire.Question{{Index: l.Index, MAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, Target: netip.MustParseAddr(free4)}})
		return err
	}))
	defer asker.Close()
	if _, err := asker.Ask(context.Background(), 1, 20*time.Millisecond); err == nil {
		t.Error("no error")
	}
}
