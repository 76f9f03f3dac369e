package fence_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/tsunagu-net/tsunagu/kernel/fence"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

var (
	plain4, plain6     = netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("fd09::1")
	guarded4, guarded6 = netip.MustParseAddr("10.9.0.100"), netip.MustParseAddr("fd09::100")
)

// segment is a node and a client on one wire. The node has its guarded
// addresses on a bridge without ports, and answers on them for the wire.
type segment struct {
	node, client *netns.Namespace
	index        int // of the node's interface
}

func newSegment(t *testing.T) segment {
	t.Helper()
	s := segment{node: namespace(t, "node"), client: namespace(t, "client")}
	inside(t, s.node, "ip link set lo up",
		"ip link add eth0 type veth peer name eth0 netns "+name("client"),
		"ip addr add 10.9.0.1/24 dev eth0", "ip addr add fd09::1/64 dev eth0 nodad", "ip link set eth0 up",
		"ip link add vip0 type bridge", "ip link set vip0 up",
		"ip addr add 10.9.0.100/32 dev vip0", "ip addr add fd09::100/128 dev vip0 nodad",
		// A proxy answers after a random while otherwise.
		"sysctl -qw net.ipv6.conf.all.forwarding=1 net.ipv6.conf.eth0.proxy_ndp=1 net.ipv6.neigh.eth0.proxy_delay=0", "ip neigh add proxy fd09::100 dev eth0")
	inside(t, s.client, "ip link set lo up", "ip addr add 10.9.0.2/24 dev eth0", "ip addr add fd09::2/64 dev eth0 nodad", "ip link set eth0 up")
	must(t, s.node.Do(func() error {
		i, err := net.InterfaceByName("eth0")
		if err == nil {
			s.index = i.Index
		}
		return err
	}))
	var echo []net.PacketConn
	must(t, s.node.Do(func() error {
		for _, a := range []netip.Addr{plain4, plain6, guarded4, guarded6} {
			c, err := net.ListenPacket("udp", netip.AddrPortFrom(a, 7).String())
			if err != nil {
				return err
			}
			echo = append(echo, c)
		}
		return nil
	}))
	for _, c := range echo {
		t.Cleanup(func() { c.Close() })
		go func() {
			b := make([]byte, 64)
			for {
				n, from, err := c.ReadFrom(b)
				if err != nil {
					return
				}
				_, _ = c.WriteTo(b[:n], from)
			}
		}()
	}
	return s
}

func name(of string) string { return fmt.Sprintf("tst-fence-%d-%s", os.Getpid(), of) }

func namespace(t *testing.T, of string) *netns.Namespace {
	t.Helper()
	n, err := netns.Create(name(of))
	must(t, err)
	t.Cleanup(func() {
		n.Close()
		if err := netns.Delete(name(of)); err != nil {
			t.Error(err)
		}
	})
	return n
}

func inside(t *testing.T, n *netns.Namespace, commands ...string) {
	t.Helper()
	must(t, n.Do(func() error {
		for _, c := range commands {
			if out, err := exec.Command("sh", "-c", c).CombinedOutput(); err != nil {
				return fmt.Errorf("%s: %w: %s", c, err, out)
			}
		}
		return nil
	}))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// answers tells whether the client gets an answer from an address.
func (s segment) answers(t *testing.T, a netip.Addr) bool {
	t.Helper()
	var c net.Conn
	must(t, s.client.Do(func() (err error) {
		c, err = net.Dial("udp", netip.AddrPortFrom(a, 7).String())
		return err
	}))
	defer c.Close()
	b := make([]byte, 8)
	for range 4 { // the first may be lost while the neighbour is resolved
		must(t, c.SetDeadline(time.Now().Add(40*time.Millisecond)))
		if _, err := c.Write([]byte("hello")); err != nil {
			continue
		}
		if n, err := c.Read(b); err == nil && string(b[:n]) == "hello" {
			return true
		}
	}
	return false
}

// forget empties the client's neighbour tables.
func (s segment) forget(t *testing.T) {
	t.Helper()
	inside(t, s.client, "ip neigh flush dev eth0", "ip -6 neigh flush dev eth0")
}

func (s segment) expect(t *testing.T, when string, want bool) {
	t.Helper()
	for _, a := range []netip.Addr{plain4, plain6, guarded4, guarded6} {
		silent := !want && (a == guarded4 || a == guarded6)
		if silent == s.answers(t, a) && (silent || !s.soon(t, a)) {
			t.Errorf("%s: %s answers: %v", when, a, silent)
		}
	}
}

// soon asks for longer: a busy machine may need it.
func (s segment) soon(t *testing.T, a netip.Addr) bool {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		if s.answers(t, a) {
			return true
		}
	}
	return false
}

func attach(t *testing.T, s segment) *fence.Fence {
	t.Helper()
	var f *fence.Fence
	must(t, s.node.Do(func() (err error) {
		if f, err = fence.New(); err != nil {
			return err
		}
		if err = f.Guard(guarded4, guarded6); err != nil {
			return err
		}
		return f.Attach(s.index)
	}))
	t.Cleanup(f.Close)
	return f
}

func TestGuardedAddressesAnswerOnlyWhileAllowed(t *testing.T) {
	s := newSegment(t)
	s.expect(t, "without a fence", true)
	f := attach(t, s)
	s.expect(t, "fence closed, neighbours known", false)
	s.forget(t)
	s.expect(t, "fence closed", false)
	if resolved := s.neighbours(t); strings.Contains(resolved, guarded4.String()+" lladdr") || strings.Contains(resolved, guarded6.String()+" lladdr") {
		t.Errorf("a closed fence answered who has the address:\n%s", resolved)
	}
	s.forget(t)
	must(t, f.Allow(fence.Now()+time.Minute))
	s.expect(t, "fence open", true)

	until := fence.Now() + 300*time.Millisecond
	must(t, f.Allow(until))
	var last time.Duration
	for fence.Now() < until+100*time.Millisecond {
		sent := fence.Now()
		if s.answers(t, guarded4) {
			last = sent
		}
	}
	if last >= until {
		t.Errorf("a question that was sent %s after the deadline was answered", last-until)
	}
	s.expect(t, "the deadline has passed", false)
	must(t, f.Allow(until)) // it was on its way for long
	s.expect(t, "allowed until a point that has passed", false)

	in, _, err := f.Dropped()
	must(t, err)
	if in == 0 {
		t.Error("no frame was counted as dropped")
	}
}

func (s segment) neighbours(t *testing.T) (out string) {
	t.Helper()
	must(t, s.client.Do(func() error {
		b, err := exec.Command("sh", "-c", "ip neigh show; ip -6 neigh show").CombinedOutput()
		out = string(b)
		return err
	}))
	return out
}

// What a node says by itself, such as an announcement, is silent as well.
func TestClosedFenceAnnouncesNothing(t *testing.T) {
	s := newSegment(t)
	f := attach(t, s)
	var c net.PacketConn
	must(t, s.node.Do(func() (err error) {
		c, err = net.ListenPacket("udp", netip.AddrPortFrom(guarded4, 0).String())
		return err
	}))
	defer c.Close()
	_, _ = c.WriteTo([]byte("from the guarded address"), net.UDPAddrFromAddrPort(netip.MustParseAddrPort("10.9.0.2:9")))
	for deadline := time.Now().Add(3 * time.Second); ; {
		_, out, err := f.Dropped()
		must(t, err)
		if out > 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("a frame of the guarded address went out")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// The fence stays when its process ends, and the next one takes over without a
// moment in which nothing is guarded.
func TestFenceOutlivesItsProcess(t *testing.T) {
	s := newSegment(t)
	f := attach(t, s)
	must(t, f.Allow(fence.Now()+150*time.Millisecond))
	f.Close() // as the kernel does when the process ends
	time.Sleep(200 * time.Millisecond)
	s.expect(t, "its process has ended", false)

	next := attach(t, s)
	must(t, s.node.Do(func() error { return next.Attach(s.index) })) // twice is once
	if n := s.programs(t); n != 2 {
		t.Errorf("%d programs on the interface after a restart, want one for each direction", n)
	}
	s.expect(t, "a new process has begun", false)
	must(t, next.Allow(fence.Now()+time.Minute))
	s.forget(t)
	s.expect(t, "the new process allows it", true)
	must(t, next.Guard(guarded6))
	must(t, next.Allow(0))
	if !s.soon(t, guarded4) || s.answers(t, guarded6) {
		t.Error("guarding one address less had no effect, or too much")
	}
	must(t, s.node.Do(func() error { return fence.Remove(s.index) }))
	if n := s.programs(t); n != 0 {
		t.Errorf("%d programs are left", n)
	}
	s.expect(t, "the fence is removed", true)
	must(t, s.node.Do(func() error { return fence.Remove(s.index) }))
	must(t, s.node.Do(func() error { return fence.Remove(1 << 20) }))
}

// A process that ends in peace takes its own fence off, and not that of the next one.
func TestDetach(t *testing.T) {
	s := newSegment(t)
	f := attach(t, s)
	next := attach(t, s)
	must(t, s.node.Do(func() error { return f.Detach(s.index) }))
	if n := s.programs(t); n != 2 {
		t.Errorf("%d programs on the interface, want the next process's two", n)
	}
	s.expect(t, "a former process ends", false)
	must(t, s.node.Do(func() error { return errors.Join(next.Detach(s.index), next.Detach(s.index), next.Detach(1<<20)) }))
	if n := s.programs(t); n != 0 {
		t.Errorf("%d programs are left", n)
	}
	s.expect(t, "the process has ended in peace", true)
}

func (s segment) programs(t *testing.T) (n int) {
	t.Helper()
	must(t, s.node.Do(func() error {
		for _, where := range []ebpf.AttachType{ebpf.AttachTCXIngress, ebpf.AttachTCXEgress} {
			found, err := link.QueryPrograms(link.QueryOptions{Target: s.index, Attach: where})
			if errors.Is(err, ebpf.ErrNotSupported) || errors.Is(err, syscall.EINVAL) { // before tcx
				n, err = s.filters(t), nil
				return nil
			}
			if err != nil {
				return err
			}
			n += len(found.Programs)
		}
		return nil
	}))
	return n
}

// filters are the programs by tc's count.
func (s segment) filters(t *testing.T) int {
	t.Helper()
	out, err := exec.Command("sh", "-c", "tc filter show dev eth0 ingress; tc filter show dev eth0 egress").CombinedOutput()
	if err != nil && !strings.Contains(string(out), "Invalid") {
		t.Fatalf("%v: %s", err, out)
	}
	return strings.Count(string(out), "direct-action")
}
