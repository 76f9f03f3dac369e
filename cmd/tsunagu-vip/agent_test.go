package main

import (
	"context"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/vip/carrier"
	"github.com/tsunagu-net/tsunagu/vip/control"
	"github.com/tsunagu-net/tsunagu/vip/viptest"
)

// The bars are loose here: this machine may be busy. `make bench` measures.
const (
	barCut  = 1500 * time.Millisecond
	barHand = 500 * time.Millisecond
)

func (x *trio) gap(what string, from, bar time.Duration) {
	x.t.Helper()
	gap := x.watch.Gap(from)
	x.t.Logf("%s: the client had no answer for %s", what, gap)
	if gap > bar {
		x.t.Errorf("%s: the client had no answer for %s, want at most %s", what, gap, bar)
	}
}

// The very first node has nothing but this program.
func TestFirstNodeAlone(t *testing.T) {
	x := newTrio(t, 3)
	began := x.watch.Mark()
	x.start(x.Nodes[0], "--first", "yes")
	x.answered(began, nil, 5*time.Second)
	took := x.watch.Mark() - began
	t.Logf("the address answers %s after the first process started", took)
	if took > 2*time.Second {
		t.Errorf("the address answers after %s", took)
	}
	// Two more are taken in, by asking at the address.
	x.start(x.Nodes[1], "--first", "no")
	x.start(x.Nodes[2], "--first", "no")
	x.settle()
	// One that believes to be the first, and is not, does not begin alone.
	mark := x.watch.Mark()
	x.signal(x.Nodes[0], syscall.SIGTERM)
	heir := x.answered(mark, x.Nodes[0], 5*time.Second)
	x.gap("the first node ends", mark, barHand)
	x.start(x.Nodes[0], "--first", "yes", "--state-dir", filepath.Join(x.dir, "another"))
	x.settle()
	if s, err := x.status(x.Nodes[0]); err != nil || s.Owns || s.Owner != heir.IP.String() || len(s.Members) != 3 {
		t.Errorf("a first node that forgot everything: %+v, %v", s, err)
	}
}

func TestOwnerIsCutOff(t *testing.T) {
	x := newTrio(t, 3)
	x.all()
	owner := x.answered(0, nil, 10*time.Second)
	x.settle()
	mark := x.watch.Mark()
	must(t, x.Cut(owner))
	next := x.answered(mark, owner, 10*time.Second)
	time.Sleep(time.Second)
	x.gap("owner cut off", mark, barCut)
	mark = x.watch.Mark()
	must(t, x.Heal(owner))
	time.Sleep(time.Second)
	if now := x.answered(x.watch.Mark(), nil, time.Second); now != next {
		t.Errorf("after healing %s answers, and %s had the address", now.Name, next.Name)
	}
	x.gap("healed", mark, barHand)
}

func TestOwnerIsKilled(t *testing.T) {
	x := newTrio(t, 3)
	x.all()
	owner := x.answered(0, nil, 10*time.Second)
	x.settle()
	mark := x.watch.Mark()
	x.signal(owner, syscall.SIGKILL)
	x.answered(mark, owner, 10*time.Second)
	x.gap("owner killed", mark, barCut)
	has := true
	for end := time.Now().Add(6 * time.Second); has && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		has = x.has(owner)
	}
	if has {
		t.Error("the address is on the killed node for ever")
	}
	x.start(owner, "--peers", x.Nodes[0].IP.String()+","+x.Nodes[1].IP.String()+","+x.Nodes[2].IP.String())
	x.settle()
}

// has tells whether a node has the address on its device.
func (x *trio) has(n *viptest.Node) (has bool) {
	x.t.Helper()
	c, err := link.Dial(n.NS)
	must(x.t, err)
	defer c.Close()
	all, err := c.Addresses()
	must(x.t, err)
	for _, a := range all {
		has = has || a.Prefix.Addr() == viptest.VIP4
	}
	return has
}

func TestOwnerIsStoppedAndResumed(t *testing.T) {
	x := newTrio(t, 3)
	x.all()
	owner := x.answered(0, nil, 10*time.Second)
	x.settle()
	mark := x.watch.Mark()
	x.signal(owner, syscall.SIGSTOP)
	next := x.answered(mark, owner, 10*time.Second)
	x.gap("owner stopped", mark, barCut)
	time.Sleep(time.Second)
	mark = x.watch.Mark()
	x.signal(owner, syscall.SIGCONT)
	time.Sleep(time.Second)
	for _, c := range x.watch.Claims() {
		if c.At > mark && c.MAC == owner.MAC.String() {
			t.Fatalf("%s claims the address %s after it was resumed", owner.Name, c.At-mark)
		}
	}
	x.gap("owner resumed", mark, barHand)
	if now := x.answered(x.watch.Mark(), nil, time.Second); now != next {
		t.Errorf("after the resumption %s answers, and %s had the address", now.Name, next.Name)
	}
}

// A node that is heard and does not hear, and one that hears and is not heard.
func TestOwnerIsHalfCutOff(t *testing.T) {
	for what, cut := range map[string]func(*viptest.Site, *viptest.Node, int) error{"mute": (*viptest.Site).Mute, "deaf": (*viptest.Site).Deafen} {
		t.Run(what, func(t *testing.T) {
			x := newTrio(t, 3)
			x.all()
			owner := x.answered(0, nil, 10*time.Second)
			x.settle()
			mark := x.watch.Mark()
			must(t, cut(x.Site, owner, 4792))
			next := x.answered(mark, owner, 10*time.Second)
			time.Sleep(time.Second)
			x.gap("owner is "+what, mark, barCut)
			mark = x.watch.Mark()
			must(t, x.Heal(owner))
			time.Sleep(time.Second)
			if now := x.answered(x.watch.Mark(), nil, time.Second); now != next {
				t.Errorf("after healing %s answers, and %s had the address", now.Name, next.Name)
			}
			x.gap("healed", mark, barHand)
		})
	}
}

func TestHandover(t *testing.T) {
	x := newTrio(t, 3)
	x.all()
	owner := x.answered(0, nil, 10*time.Second)
	x.settle()
	heir := x.Nodes[0]
	if heir == owner {
		heir = x.Nodes[1]
	}
	mark := x.watch.Mark()
	ask := control.NewClient(filepath.Join(x.dir, owner.Name, "run", control.SocketName))
	must(t, ask.Handover(context.Background(), heir.IP.String()))
	if next := x.answered(mark, owner, 5*time.Second); next != heir {
		t.Errorf("%s has the address, and %s was named", next.Name, heir.Name)
	}
	time.Sleep(300 * time.Millisecond)
	x.gap("handed over", mark, barHand)
	if err := ask.Handover(context.Background(), ""); err == nil || !strings.Contains(err.Error(), "does not own") {
		t.Errorf("a node without the address hands it over: %v", err)
	}
	mark = x.watch.Mark()
	x.signal(heir, syscall.SIGTERM)
	x.answered(mark, heir, 5*time.Second)
	time.Sleep(300 * time.Millisecond)
	x.gap("the process ends on purpose", mark, barHand)
	if x.has(heir) {
		t.Error("the address is still there")
	}
	c, err := link.Dial(heir.NS)
	must(t, err)
	defer c.Close()
	if _, err := c.ByName(carrier.Device); !link.Missing(err) {
		t.Errorf("the device is still there: %v", err)
	}
}

// What another program left is removed; the node's own address is not for taking.
func TestFormerAddress(t *testing.T) {
	x := newTrio(t, 1)
	must(t, viptest.Inside(x.Nodes[0].NS, "ip addr add "+viptest.VIP4.String()+"/32 dev eth0"))
	x.start(x.Nodes[0], "--first", "no")
	for end := time.Now().Add(5 * time.Second); x.has(x.Nodes[0]); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the address that kube-vip left is still there")
		}
	}
	x.procs[x.Nodes[0].Name].Stop()
	must(t, viptest.Inside(x.Nodes[0].NS, "ip addr add "+viptest.VIP4.String()+"/24 dev eth0"))
	x.start(x.Nodes[0], "--first", "yes")
	for end := time.Now().Add(5 * time.Second); !strings.Contains(x.said[x.Nodes[0].Name].String(), "this node's own on eth0"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a node's own address was accepted")
		}
	}
}

func TestIPv6(t *testing.T) {
	x := newTrio(t, 3)
	w, err := x.Site.Watch(viptest.VIP6)
	must(t, err)
	defer w.Stop()
	must(t, w.Fair(x.Site))
	x.all()
	first, ok := w.Answered(0, "", 10*time.Second)
	if !ok {
		t.Fatal("nobody answers for the IPv6 address")
	}
	x.settle()
	owner := x.answered(x.watch.Mark(), nil, time.Second)
	if owner.Name != first {
		t.Errorf("%s has the IPv6 address and %s the IPv4 one", first, owner.Name)
	}
	mark := w.Mark()
	must(t, x.Cut(owner))
	if _, ok := w.Answered(mark, owner.Name, 5*time.Second); !ok {
		t.Fatal("nobody answers for the IPv6 address after its owner was cut off")
	}
	time.Sleep(500 * time.Millisecond)
	if gap := w.Gap(mark); gap > barCut {
		t.Errorf("no answer from the IPv6 address for %s", gap)
	}
	if d := w.Both(); d > 0 {
		t.Errorf("two nodes answered for the IPv6 address for %s", d)
	}
}

// IPVS with strictARP tells the kernel not to answer for addresses of other devices.
func TestKernelThatDoesNotAnswer(t *testing.T) {
	x := newTrio(t, 1)
	must(t, viptest.Inside(x.Nodes[0].NS, "sysctl -qw net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2"))
	x.start(x.Nodes[0], "--first", "yes")
	x.answered(0, nil, 5*time.Second)
	must(t, viptest.Inside(x.Client, "ip neigh flush dev eth0"))
	x.answered(x.watch.Mark(), nil, 5*time.Second)
}

// A node that is taken off the list stays off while it runs, and comes back when it starts again.
func TestNodeIsRemoved(t *testing.T) {
	x := newTrio(t, 3)
	x.all()
	owner := x.answered(0, nil, 10*time.Second)
	x.settle()
	gone := x.Nodes[0]
	if gone == owner {
		gone = x.Nodes[1]
	}
	ask := control.NewClient(filepath.Join(x.dir, owner.Name, "run", control.SocketName))
	must(t, ask.Remove(context.Background(), gone.IP.String()))
	members := func(n int) func() bool {
		return func() bool { s, err := x.status(owner); return err == nil && len(s.Members) == n && !s.Changing }
	}
	until(t, "two members are left", members(2))
	if err := ask.Remove(context.Background(), gone.IP.String()); err == nil || !strings.Contains(err.Error(), "no member") {
		t.Errorf("a node is removed twice: %v", err)
	}
	x.procs[gone.Name].Stop()
	x.start(gone, "--first", "no")
	until(t, "the node is back", members(3))
}
