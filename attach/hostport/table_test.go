package hostport_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/attach/hostport"
	"github.com/tsunagu-net/tsunagu/kernel/nft"
)

// Every way to a host port, as with the portmap plugin, and what must not be a way.
func TestWays(t *testing.T) {
	n := newNode(t)
	ctx := t.Context()
	for i, pod := range []string{"pod1", "pod2"} {
		for _, network := range []string{"tcp", "udp"} {
			n.serve(pod, network, fmt.Sprintf(":%d", 8001+i))
		}
	}
	n.serve("node", "tcp", "127.0.0.1:99")
	n.serve("node", "tcp", ":7777") // a port that nobody maps stays the node's
	must(t, n.ports.Set(ctx, sandbox(1,
		mapping(t, "", 80, 8001, "tcp"), mapping(t, "", 80, 8001, "udp"),
		mapping(t, "192.168.7.11", 81, 8001, "tcp"), mapping(t, "127.0.0.1", 82, 8001, "tcp"), mapping(t, "fd07::1", 83, 8001, "tcp"),
		mapping(t, "0.0.0.0", 84, 8001, "tcp"), mapping(t, "::", 85, 8001, "tcp"), mapping(t, "", 86, 8001, "sctp"))))
	must(t, n.ports.Set(ctx, sandbox(2, mapping(t, "", 90, 8002, "tcp"), mapping(t, "192.168.7.1", 81, 8002, "tcp"))))
	for _, c := range []struct{ from, network, to, answer string }{
		{"out", "tcp", "192.168.7.1:80", "pod1 192.168.7.254"},
		{"out", "tcp", "192.168.7.11:80", "pod1 192.168.7.254"},
		{"out", "tcp", "[fd07::1]:80", "pod1 fd07::fe"},
		{"out", "udp", "192.168.7.1:80", "pod1 192.168.7.254"},
		{"out", "udp", "[fd07::1]:80", "pod1 fd07::fe"},
		{"pod2", "tcp", "192.168.7.1:80", "pod1 10.244.1.2"},
		{"pod2", "tcp", "[fd07::1]:80", "pod1 fd00:1::2"},
		{"pod2", "udp", "192.168.7.1:80", "pod1 10.244.1.2"},
		{"pod1", "tcp", "192.168.7.1:80", "pod1 192.168.7.1"}, // itself: by the node's address
		{"pod1", "tcp", "[fd07::1]:80", "pod1 fd07::1"},
		{"pod1", "udp", "192.168.7.1:80", "pod1 192.168.7.1"},
		{"pod1", "tcp", "192.168.7.1:90", "pod2 10.244.1.1"},
		{"node", "tcp", "192.168.7.1:80", "pod1 192.168.7.1"},
		{"node", "tcp", "192.168.7.11:80", "pod1 192.168.7.1"},
		{"node", "tcp", "[fd07::1]:80", "pod1 fd07::1"},
		{"node", "udp", "192.168.7.1:80", "pod1 192.168.7.1"},
		{"node", "tcp", "127.0.0.1:80", "pod1 192.168.7.1"},
		{"node", "udp", "127.0.0.1:80", "pod1 192.168.7.1"},
		{"node", "tcp", "127.0.0.5:80", "pod1 192.168.7.1"},
		{"out", "tcp", "192.168.7.11:81", "pod1 192.168.7.254"}, // one port of two addresses, two Pods
		{"out", "tcp", "192.168.7.1:81", "pod2 192.168.7.254"},
		{"node", "tcp", "127.0.0.1:82", "pod1 192.168.7.1"},
		{"out", "tcp", "192.168.7.1:82", ""},
		{"out", "tcp", "[fd07::1]:83", "pod1 fd07::fe"},
		{"out", "tcp", "192.168.7.1:83", ""},
		{"out", "tcp", "192.168.7.1:84", "pod1 192.168.7.254"},
		{"out", "tcp", "[fd07::1]:84", ""},
		{"out", "tcp", "[fd07::1]:85", "pod1 fd07::fe"},
		{"out", "tcp", "192.168.7.1:85", ""},
		{"out", "udp", "192.168.7.1:81", ""},
		{"out", "tcp", "192.168.7.1:7777", "node 192.168.7.254"},
		{"out", "tcp", "10.244.1.1:8001", "pod1 192.168.7.254"}, // not by a host port: as without them
		{"out", "tcp", "10.244.1.1:80", ""},                     // a Pod's own port 80 is not the node's
		{"node", "tcp", "127.0.0.1:99", "node 127.0.0.1"},
	} {
		answer, err := n.ask(c.from, c.network, c.to)
		if answer != c.answer || (err == nil) != (c.answer != "") {
			t.Errorf("%s by %s to %s: %q (%v), want %q", c.from, c.network, c.to, answer, err, c.answer)
		}
	}
	if !strings.Contains(n.list(), "sctp . 86 : 10.244.1.1 . 8001") {
		t.Error("no SCTP port")
	}
	// The door for replies to 127.0.0.1 is none for Pods.
	n.sh("pod1", "ip route add 127.0.0.1/32 via 169.254.1.1 dev eth0 onlink table 7; ip rule add pref 1 to 127.0.0.1 dport 99 table 7; ip rule add pref 2 lookup local; ip rule del pref 0; echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet")
	if answer, err := n.askWithin("pod1", "tcp", "127.0.0.1:99", 300*time.Millisecond); err == nil {
		t.Errorf("a Pod reaches 127.0.0.1 of the node: %q", answer)
	}
	if out := n.sh("node", "cat /proc/sys/net/ipv4/conf/tsupod1/route_localnet /proc/sys/net/ipv4/conf/all/route_localnet /proc/sys/net/ipv4/conf/eth0/route_localnet"); out != "1\n0\n0" {
		t.Errorf("route_localnet is %q, want it on the Pod's interface alone", out)
	}
	must(t, n.ports.Delete(ctx, "sandbox1"))
	must(t, n.ports.Delete(ctx, "sandbox1"))
	must(t, n.ports.Delete(ctx, "never seen"))
	if answer, err := n.ask("out", "tcp", "192.168.7.1:80"); err == nil {
		t.Errorf("after Delete: %q", answer)
	}
	if answer, err := n.ask("out", "tcp", "192.168.7.1:90"); answer != "pod2 192.168.7.254" {
		t.Errorf("the other Pod's port after Delete: %q, %v", answer, err)
	}
	must(t, n.ports.Delete(ctx, "sandbox2"))
	if strings.Contains(n.list(), "elements") {
		t.Errorf("left over: %s", n.list())
	}
}

func TestConflicts(t *testing.T) {
	n := newNode(t)
	ctx := t.Context()
	must(t, n.ports.Set(ctx, sandbox(1, mapping(t, "", 80, 8001, "tcp"), mapping(t, "192.168.7.1", 81, 8001, "tcp"))))
	before := n.list()
	for _, m := range []hostport.Mapping{
		mapping(t, "", 80, 1, "tcp"), mapping(t, "192.168.7.1", 80, 1, "tcp"), mapping(t, "::", 80, 1, "tcp"), mapping(t, "0.0.0.0", 81, 1, "tcp"),
		mapping(t, "192.168.7.1", 81, 1, "tcp"),
	} {
		err := n.ports.Set(ctx, sandbox(2, mapping(t, "", 90, 90, "tcp"), m))
		var c hostport.Conflict
		if !errors.As(err, &c) || c.Holder != "default/pod1" || c.Reason() == "" || c.Fix() == "" || !strings.Contains(err.Error(), "default/pod1") {
			t.Errorf("%s: %v", m, err)
		}
	}
	if n.list() != before {
		t.Errorf("a refused sandbox left something: %s", n.list())
	}
	for _, m := range []hostport.Mapping{mapping(t, "", 80, 1, "udp"), mapping(t, "", 82, 1, "tcp"), mapping(t, "192.168.7.11", 81, 1, "tcp"), mapping(t, "fd07::1", 81, 1, "tcp")} {
		if err := n.ports.Set(ctx, sandbox(2, m)); err != nil {
			t.Errorf("%s: %v", m, err)
		}
	}
	if err := n.ports.Set(ctx, sandbox(2, mapping(t, "", 95, 1, "tcp"), mapping(t, "", 95, 2, "tcp"))); err == nil || !strings.Contains(err.Error(), "lead to one") {
		t.Errorf("one port to two: %v", err)
	}
	// The holder itself may ask again, and change its mind; then the port is free.
	must(t, n.ports.Set(ctx, sandbox(1, mapping(t, "", 80, 8001, "tcp"), mapping(t, "192.168.7.1", 81, 8001, "tcp"))))
	must(t, n.ports.Set(ctx, sandbox(1, mapping(t, "192.168.7.1", 81, 8001, "tcp"))))
	must(t, n.ports.Set(ctx, sandbox(2, mapping(t, "", 80, 8002, "tcp"))))
}

// After a restart nothing is lost before Sync, and nothing is too much after it.
func TestSync(t *testing.T) {
	n := newNode(t)
	ctx := t.Context()
	n.serve("pod1", "tcp", ":8001")
	n.serve("pod2", "tcp", ":8002")
	must(t, n.ports.Set(ctx, sandbox(1, mapping(t, "", 80, 8001, "tcp"), mapping(t, "", 81, 8001, "tcp"))))
	must(t, n.ports.Sync(ctx, []hostport.Sandbox{sandbox(1, mapping(t, "", 80, 8001, "tcp"), mapping(t, "", 81, 8001, "tcp"))}))

	table := nft.Open(n.ns, nft.Options{})
	again := hostport.New(table, discard())
	if _, err := table.Repair(); err != nil {
		t.Fatal(err)
	}
	if answer, err := n.ask("out", "tcp", "192.168.7.1:80"); err != nil {
		t.Errorf("before Sync: %q, %v", answer, err)
	}
	must(t, again.Set(ctx, sandbox(2, mapping(t, "", 90, 8002, "tcp")))) // a Pod that comes before Sync
	for _, to := range []string{"192.168.7.1:80", "192.168.7.1:90"} {
		if answer, err := n.ask("out", "tcp", to); err != nil {
			t.Errorf("%s: %q, %v", to, answer, err)
		}
	}
	err := again.Sync(ctx, []hostport.Sandbox{
		sandbox(1, mapping(t, "", 80, 8001, "tcp")), sandbox(2, mapping(t, "", 80, 8002, "tcp"), mapping(t, "", 91, 8002, "tcp")),
	})
	var c hostport.Conflict
	if !errors.As(err, &c) || c.Holder != "default/pod1" {
		t.Errorf("two sandboxes with one port: %v", err)
	}
	for to, want := range map[string]string{"192.168.7.1:80": "pod1 192.168.7.254", "192.168.7.1:91": "pod2 192.168.7.254", "192.168.7.1:81": "", "192.168.7.1:90": ""} {
		if answer, _ := n.ask("out", "tcp", to); answer != want {
			t.Errorf("after Sync %s: %q, want %q", to, answer, want)
		}
	}
	must(t, again.Sync(ctx, nil))
	if strings.Contains(n.list(), "elements") {
		t.Errorf("left over: %s", n.list())
	}
}

// A UDP client that never pauses follows the port: from the node to the Pod, to the next Pod, and away.
func TestUDPFollows(t *testing.T) {
	n := newNode(t)
	ctx := t.Context()
	n.serve("node", "udp", "192.168.7.1:53")
	n.serve("pod1", "udp", ":53")
	n.serve("pod2", "udp", ":53")
	var c, elsewhere net.Conn
	n.in("out", func() (err error) { c, err = net.Dial("udp", "192.168.7.1:53"); return err })
	n.in("node", func() (err error) { elsewhere, err = net.Dial("udp", "10.244.1.2:53"); return err })
	defer c.Close()
	defer elsewhere.Close()
	expect := func(when, want string) {
		t.Helper()
		answer := ""
		for range 20 { // an answer that was under way may be lost
			if answer, _ = exchange(c, 300*time.Millisecond); strings.HasPrefix(answer, want) {
				return
			}
		}
		t.Errorf("%s: %q answers, want %s", when, answer, want)
	}
	expect("without a mapping", "node")
	if _, err := exchange(elsewhere, patience); err != nil {
		t.Fatal(err)
	}
	flow := n.sh("node", "conntrack -L -p udp --dst 10.244.1.2 2>/dev/null | grep -c . || true")
	must(t, n.ports.Set(ctx, sandbox(1, mapping(t, "", 53, 53, "udp"))))
	expect("with the mapping", "pod1")
	must(t, n.ports.Delete(ctx, "sandbox1"))
	must(t, n.ports.Set(ctx, sandbox(2, mapping(t, "", 53, 53, "udp"))))
	expect("with another Pod", "pod2")
	must(t, n.ports.Delete(ctx, "sandbox2"))
	expect("without again", "node")
	if after := n.sh("node", "conntrack -L -p udp --dst 10.244.1.2 2>/dev/null | grep -c . || true"); after != flow {
		t.Errorf("a flow to the Pod's own port was forgotten: %s flows, %s before", after, flow)
	}
}

// Addresses that ask for it are hidden, except towards their own subnet.
func TestMasquerade(t *testing.T) {
	n := newNode(t)
	ctx := t.Context()
	n.serve("out", "tcp", ":80")
	n.serve("pod2", "tcp", ":80")
	s := sandbox(1)
	s.Masquerade = []netip.Prefix{netip.MustParsePrefix("10.244.1.1/24"), netip.MustParsePrefix("fd00:1::1/64")}
	must(t, n.ports.Set(ctx, s))
	for _, c := range []struct{ from, to, answer string }{
		{"pod1", "192.168.7.254:80", "out 192.168.7.1"}, {"pod1", "[fd07::fe]:80", "out fd07::1"},
		{"pod1", "10.244.1.2:80", "pod2 10.244.1.1"}, {"pod1", "[fd00:1::2]:80", "pod2 fd00:1::1"},
		{"pod2", "192.168.7.254:80", "out 10.244.1.2"},
	} {
		if answer, err := n.ask(c.from, "tcp", c.to); answer != c.answer {
			t.Errorf("%s to %s: %q (%v), want %q", c.from, c.to, answer, err, c.answer)
		}
	}
	must(t, n.ports.Delete(ctx, s.ID))
	if answer, _ := n.ask("pod1", "tcp", "192.168.7.254:80"); answer != "out 10.244.1.1" {
		t.Errorf("after Delete: %q", answer)
	}
}

// An address may have a new sandbox before the old one is deleted.
func TestSharedAddress(t *testing.T) {
	n := newNode(t)
	ctx := t.Context()
	n.serve("pod1", "tcp", ":8001")
	must(t, n.ports.Set(ctx, sandbox(1, mapping(t, "", 80, 8001, "tcp"))))
	next := sandbox(1, mapping(t, "", 81, 8001, "tcp"))
	next.ID = "next"
	must(t, n.ports.Set(ctx, next))
	must(t, n.ports.Delete(ctx, "sandbox1"))
	if answer, err := n.ask("pod1", "tcp", "192.168.7.1:81"); err != nil {
		t.Errorf("the Pod does not reach itself any more: %q, %v", answer, err)
	}
}

// A port costs the same whether it is the first or the two-thousandth.
func TestConstantCost(t *testing.T) {
	n := newNode(t)
	ctx := t.Context()
	must(t, n.ports.Sync(ctx, nil))
	next := 0
	cost := func(count int) time.Duration {
		begin := time.Now()
		for range count {
			s := hostport.Sandbox{ID: fmt.Sprint(next), Name: fmt.Sprint(next), Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, 1, byte(next >> 8), byte(next)})},
				Mappings: []hostport.Mapping{mapping(t, "", 10000+next, 80, "tcp")}}
			must(t, n.ports.Set(ctx, s))
			next++
		}
		return time.Since(begin) / time.Duration(count)
	}
	least := func() time.Duration { // of several, because the machine may do other things
		return min(cost(20), cost(20), cost(20), cost(20), cost(20), cost(20), cost(20), cost(20))
	}
	first := least()
	cost(2000)
	last := least()
	t.Logf("%v for one of the first, %v for one after 2000", first, last)
	if last > 4*first {
		t.Errorf("the cost grows with the number: %v, then %v", first, last)
	}
}
