package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/ipv4"

	"github.com/tsunagu-net/tsunagu/vip/viptest"
	"github.com/tsunagu-net/tsunagu/vip/vrrp"
)

// keepalived runs on a node, in its place of the program.
func (x *trio) keepalived(n *viptest.Node, k viptest.Keepalived) {
	x.t.Helper()
	o := x.said[n.Name]
	if o == nil {
		o = &output{}
		x.said[n.Name] = o
	}
	p, err := k.Start(n, x.dir, o)
	must(x.t, err)
	x.procs[n.Name] = p
}

// ours runs the program as keepalived would be told to.
func (x *trio) ours(n *viptest.Node, k viptest.Keepalived) {
	x.t.Helper()
	o := x.said[n.Name]
	if o == nil {
		o = &output{}
		x.said[n.Name] = o
	}
	p, err := n.Start(o, []string{asProgram + "=1"}, x.oursArgs(n, k)...)
	must(x.t, err)
	x.procs[n.Name] = p
}

func (x *trio) oursArgs(n *viptest.Node, k viptest.Keepalived) []string {
	addresses := viptest.VIP4.String() + "," + viptest.VIP6.String()
	if k.OverIPv6 {
		addresses = viptest.VIP6.String()
	}
	argv := []string{os.Args[0], "--address", addresses, "--state-dir", filepath.Join(x.dir, n.Name, "state"),
		"--run-dir", filepath.Join(x.dir, n.Name, "run"), "--health", "none", "--mode", "vrrp", "--vrrp-router-id", fmt.Sprint(k.Router),
		"--vrrp-priority", fmt.Sprint(k.Priority), "--vrrp-interval", k.Interval + "s", "--vrrp-version", fmt.Sprint(k.Version)}
	if k.Preempt {
		argv = append(argv, "--preempt")
	}
	if k.Password != "" {
		argv = append(argv, "--vrrp-password", k.Password)
	}
	return argv
}

// busy is how long a program may not run on the machines that tests are on.
const busy = 500 * time.Millisecond

// owns waits until a node answers the client, and tells for how long nobody did since the mark.
func (x *trio) owns(n *viptest.Node, mark time.Duration, what string) {
	x.t.Helper()
	for end := time.Now().Add(15 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		now := x.watch.Mark()
		if by, ok := x.watch.Answered(now, "", 200*time.Millisecond); ok && by == n.Name {
			break
		}
		if time.Now().After(end) {
			x.t.Fatalf("%s: %s does not get the address", what, n.Name)
		}
	}
	x.t.Logf("%s: nobody answered for %s", what, x.watch.Gap(mark).Round(time.Millisecond))
}

// Addresses go from keepalived to this program and back, whoever it is that stops, is cut off or has more priority.
func TestVRRPWithKeepalived(t *testing.T) {
	for _, c := range []struct {
		name string
		k    viptest.Keepalived
	}{
		{"version 3, 0.1 s", viptest.Keepalived{Router: 51, Interval: "0.1", Version: 3, Preempt: true}},
		{"version 2, 1 s, with a password", viptest.Keepalived{Router: 52, Interval: "1", Version: 2, Password: "secret12", Preempt: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := newTrio(t, 3)
			// A node that was cut off owns until it hears the other one, and so does one that is taken from, on a machine that is busy.
			interval, err := time.ParseDuration(c.k.Interval + "s")
			must(t, err)
			x.overlap = interval + interval/2 + busy
			of := func(priority int) viptest.Keepalived {
				k := c.k
				k.Priority = priority
				return k
			}
			first, ours, last := x.Nodes[0], x.Nodes[1], x.Nodes[2]
			x.keepalived(first, of(150))
			x.owns(first, x.watch.Mark(), "keepalived begins")
			x.keepalived(last, of(50))
			x.ours(ours, of(100))
			x.ourView(ours, first)

			mark := x.watch.Mark()
			x.procs[first.Name].Stop()
			x.owns(ours, mark, "keepalived stops, tsunagu-vip is next")
			mark = x.watch.Mark()
			x.keepalived(first, of(150))
			x.owns(first, mark, "keepalived of more priority comes back")
			mark = x.watch.Mark()
			must(t, x.Cut(first))
			x.owns(ours, mark, "keepalived is cut off")
			mark = x.watch.Mark()
			must(t, x.Heal(first))
			x.owns(first, mark, "it is back")
			x.procs[first.Name].Stop()
			x.owns(ours, x.watch.Mark(), "keepalived stops")

			mark = x.watch.Mark()
			x.signal(ours, syscall.SIGKILL)
			x.owns(last, mark, "tsunagu-vip is killed, keepalived is next")
			mark = x.watch.Mark()
			x.ours(ours, of(100))
			x.owns(ours, mark, "tsunagu-vip of more priority starts")
			mark = x.watch.Mark()
			x.signal(ours, syscall.SIGSTOP)
			x.owns(last, mark, "tsunagu-vip is stopped")
			mark = x.watch.Mark()
			x.signal(ours, syscall.SIGCONT)
			x.owns(ours, mark, "and goes on")
			mark = x.watch.Mark()
			x.procs[ours.Name].Stop()
			x.owns(last, mark, "tsunagu-vip ends in peace")
		})
	}
}

// Where this program ran keepalived can have the address: nothing holds it back any more.
func TestKeepalivedAfterwards(t *testing.T) {
	x := newTrio(t, 1)
	k, n := viptest.Keepalived{Router: 51, Interval: "0.1", Version: 3, Priority: 100}, x.Nodes[0]
	for i, start := range []func(){func() { x.ours(n, k) }, func() { x.start(n, "--first", "yes") }} {
		start()
		x.owns(n, x.watch.Mark(), "tsunagu-vip begins")
		x.procs[n.Name].Stop()
		x.keepalived(n, k)
		x.owns(n, x.watch.Mark(), "keepalived begins")
		x.procs[n.Name].Stop()
		if said := x.said[n.Name].String(); strings.Contains(said, "Error 105") {
			t.Errorf("round %d: keepalived cannot speak", i)
		}
	}
}

// ourView waits until the program says who owns.
func (x *trio) ourView(n, owner *viptest.Node) {
	x.t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		s, err := x.status(n)
		if err == nil && s.Owner == owner.IP.String() && s.Mode == "vrrp" {
			return
		}
		if time.Now().After(end) {
			x.t.Fatalf("%s says %+v, %v; the owner is %s", n.Name, s, err, owner.IP)
		}
	}
}

// Three nodes change from keepalived to this program and back, one at a time, and the address is never away for a second.
func TestVRRPRollingMigration(t *testing.T) {
	x := newTrio(t, 3)
	of := func(i int) viptest.Keepalived {
		return viptest.Keepalived{Router: 51, Interval: "1", Version: 2, Priority: 120 - 10*i}
	}
	x.keepalived(x.Nodes[0], of(0))
	x.owns(x.Nodes[0], x.watch.Mark(), "keepalived begins")
	for i := 1; i < 3; i++ {
		x.keepalived(x.Nodes[i], of(i))
	}
	time.Sleep(4 * time.Second) // keepalived listens for that long, and says nothing when it has
	mark := x.watch.Mark()
	for _, to := range []string{"tsunagu-vip", "keepalived"} {
		for i, n := range x.Nodes {
			at := x.watch.Mark()
			before := x.answered(at, nil, 2*time.Second)
			x.procs[n.Name].Stop()
			if to == "keepalived" {
				x.keepalived(n, of(i))
			} else {
				x.ours(n, of(i))
			}
			time.Sleep(4500 * time.Millisecond) // a new one knows the owner when it has listened for 3 intervals and its skew
			// Without preemption nobody takes it from an owner that goes on, whatever the priorities are.
			if after := x.answered(x.watch.Mark(), nil, 2*time.Second); before != n && after != before {
				t.Errorf("%s runs %s, and the address went from %s to %s", n.Name, to, before.Name, after.Name)
			}
			t.Logf("%s runs %s: nobody answered for %s", n.Name, to, x.watch.Gap(at).Round(time.Millisecond))
		}
	}
	if gap := x.watch.Gap(mark); gap > time.Second+busy {
		t.Errorf("nobody answered for %s", gap)
	}
}

// A node whose advertisements do not leave it is silent when another one takes over.
func TestVRRPOwnerThatCannotSpeak(t *testing.T) {
	x := newTrio(t, 2)
	k := viptest.Keepalived{Router: 51, Interval: "0.1", Version: 3, Priority: 150}
	x.ours(x.Nodes[0], k)
	x.owns(x.Nodes[0], x.watch.Mark(), "begins")
	k.Priority = 100
	x.ours(x.Nodes[1], k)
	x.ourView(x.Nodes[1], x.Nodes[0])
	mark := x.watch.Mark()
	must(t, viptest.Inside(x.Nodes[0].NS, `nft 'add table inet tst; add chain inet tst out { type filter hook output priority 0; }; add rule inet tst out meta l4proto vrrp reject'`))
	x.owns(x.Nodes[1], mark, "its advertisements are rejected")
	if !strings.Contains(x.said[x.Nodes[0].Name].String(), "tell the other nodes") {
		t.Error("the log does not say that it cannot speak")
	}
}

// The same over IPv6, where nodes speak from their link-local addresses.
func TestVRRPOverIPv6(t *testing.T) {
	x := newTrio(t, 2)
	x.overlap = busy // keepalived takes it from an owner that goes on
	x.watch.Stop()
	var err error
	x.watch, err = x.Site.Watch(viptest.VIP6)
	must(t, err)
	k := viptest.Keepalived{Router: 61, Interval: "0.1", Version: 3, Priority: 150, OverIPv6: true}
	x.keepalived(x.Nodes[0], k)
	x.owns(x.Nodes[0], x.watch.Mark(), "keepalived begins")
	k.Priority = 100
	x.ours(x.Nodes[1], k)
	time.Sleep(time.Second)
	mark := x.watch.Mark()
	x.procs[x.Nodes[0].Name].Stop()
	x.owns(x.Nodes[1], mark, "keepalived stops")
	mark = x.watch.Mark()
	k.Priority, k.Preempt = 150, true
	x.keepalived(x.Nodes[0], k)
	x.owns(x.Nodes[0], mark, "keepalived of more priority comes back")
	mark = x.watch.Mark()
	must(t, x.Cut(x.Nodes[0]))
	x.owns(x.Nodes[1], mark, "keepalived is cut off")
}

// What is not for this node, or a mistake, changes nothing and is named.
func TestVRRPRefuses(t *testing.T) {
	x := newTrio(t, 2)
	k := viptest.Keepalived{Router: 51, Interval: "0.1", Version: 3, Priority: 100}
	ours := x.Nodes[0]
	x.ours(ours, k)
	x.owns(ours, x.watch.Mark(), "begins")
	mark := x.watch.Mark()
	for _, c := range []struct {
		name, says string
		a          vrrp.Advertisement
		hops       int
		spoil      bool
	}{
		{"another router", "", vrrp.Advertisement{Version: 3, Router: 52, Interval: 100 * time.Millisecond}, 255, false},
		{"over a router", "its TTL is 64, not 255", vrrp.Advertisement{Version: 3, Router: 51, Interval: 100 * time.Millisecond}, 64, false},
		{"another version", "it is of VRRP version 2, this node speaks version 3", vrrp.Advertisement{Version: 2, Router: 51, Interval: time.Second}, 255, false},
		{"damaged", "the checksum is wrong", vrrp.Advertisement{Version: 3, Router: 51, Interval: 100 * time.Millisecond}, 255, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			must(t, x.Nodes[1].NS.Do(func() error {
				return say(x.Nodes[1], c.a, c.hops, c.spoil)
			}))
			time.Sleep(500 * time.Millisecond)
			if by, ok := x.watch.Answered(x.watch.Mark(), "", time.Second); !ok || by != ours.Name {
				t.Errorf("%q answers now", by)
			}
			if !strings.Contains(x.said[ours.Name].String(), c.says) {
				t.Errorf("the log does not say %q", c.says)
			}
		})
		x.procs[ours.Name].Stop() // who was told of is not told of again for a while
		x.ours(ours, k)
		x.owns(ours, mark, "begins again")
	}
	x.procs[ours.Name].Stop()
	k.Version, k.Password, k.Interval = 2, "mine", "1"
	x.ours(ours, k)
	x.owns(ours, x.watch.Mark(), "begins with version 2")
	must(t, x.Nodes[1].NS.Do(func() error {
		return say(x.Nodes[1], vrrp.Advertisement{Version: 2, Router: 51, Interval: time.Second, Password: "other"}, 255, false)
	}))
	time.Sleep(500 * time.Millisecond)
	if s, err := x.status(ours); err != nil || !s.Owns {
		t.Errorf("%+v, %v", s, err)
	}
	if !strings.Contains(x.said[ours.Name].String(), "its password is another one") {
		t.Error("the log does not name the password")
	}
	x.procs[ours.Name].Stop()
	x.ours(ours, k)
	x.owns(ours, x.watch.Mark(), "begins with version 2 again")
	// Other addresses: obeyed, so that nothing is there twice, and named.
	must(t, x.Nodes[1].NS.Do(func() error {
		return say(x.Nodes[1], vrrp.Advertisement{Version: 2, Router: 51, Interval: time.Second, Password: "mine", Addresses: []netip.Addr{netip.MustParseAddr("10.77.0.101")}}, 255, false)
	}))
	time.Sleep(200 * time.Millisecond)
	if s, err := x.status(ours); err != nil || s.Owns || s.Owner != x.Nodes[1].IP.String() {
		t.Errorf("%+v, %v", s, err)
	}
	if !strings.Contains(x.said[ours.Name].String(), "give all nodes the same, in the same order") {
		t.Error("the log does not name the addresses")
	}
}

// say sends an advertisement of the most priority.
func say(n *viptest.Node, a vrrp.Advertisement, hops int, spoil bool) error {
	a.Priority, a.Addresses = 254, append(a.Addresses, viptest.VIP4)
	b, err := a.Append(nil, n.IP, vrrp.Group4)
	if err != nil {
		return err
	}
	if spoil {
		b[2]--
	}
	c, err := net.ListenPacket("ip4:112", n.IP.String())
	if err != nil {
		return err
	}
	defer c.Close()
	p := ipv4.NewPacketConn(c)
	if err := p.SetMulticastTTL(hops); err != nil {
		return err
	}
	for range 3 {
		if _, err := p.WriteTo(b, nil, &net.IPAddr{IP: vrrp.Group4.AsSlice()}); err != nil {
			return err
		}
	}
	return nil
}
