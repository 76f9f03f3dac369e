package overlay_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/kernel/netns"
	"github.com/tsunagu-net/tsunagu/overlay"
)

// segment is a switch with nodes, an outside host and a Pod per node, each in a namespace of its own. Node i has 192.168.7.i and
// fd07::i, its Pods 10.244.i.0/24 and fd00:i::/64; the Pod has .5 and ::5 of it. The outside host is 192.168.7.254 and fd07::fe, the
// nodes' default gateway.
type segment struct {
	t      testing.TB
	prefix string
	nodes  []*node
}

type node struct {
	segment *segment
	i       int
	ns      *netns.Namespace
	// families are what it has on the underlay.
	families string
	ov       *overlay.Overlay
	stop     func()
}

// name is that of a namespace: "sw", "out", "n1", "p1".
func (s *segment) name(part string) string { return s.prefix + part }

func (s *segment) create(part string) *netns.Namespace {
	s.t.Helper()
	name := s.name(part)
	if err := netns.Delete(name); err != nil {
		s.t.Fatal(err)
	}
	n, err := netns.Create(name)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		n.Close()
		if err := netns.Delete(name); err != nil {
			s.t.Error(err)
		}
	})
	// Link-local addresses that are still being checked cannot ask for neighbours.
	s.sh(part, "ip link set lo up; echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad")
	return n
}

// sh runs commands in a namespace, as an administrator would.
func (s *segment) sh(part, script string) string {
	s.t.Helper()
	out, err := s.try(part, script)
	if err != nil {
		s.t.Fatalf("in %s: %s: %v: %s", part, script, err, out)
	}
	return out
}

func (s *segment) try(part, script string) (string, error) {
	out, err := exec.Command("nsenter", "--net=/run/netns/"+s.name(part), "sh", "-ec", script).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// newSegment makes nodes without agents. families has a word per node: "46", "4" or "6".
func newSegment(t testing.TB, name string, mtu int, families ...string) *segment {
	s := &segment{t: t, prefix: "tst-ov-" + name + "-"}
	s.create("sw")
	s.sh("sw", fmt.Sprintf("ip link add br0 mtu %d type bridge; ip link set br0 up", mtu))
	s.create("out")
	s.plug("out", "out", mtu)
	s.sh("out", "ip addr add 192.168.7.254/24 dev eth0; ip addr add fd07::fe/64 dev eth0 nodad; ip addr add 203.0.113.9/32 dev lo")
	for i, f := range families {
		n := &node{segment: s, i: i + 1, families: f}
		n.ns = s.create(n.part())
		s.plug(n.part(), n.part(), mtu)
		if strings.Contains(f, "4") {
			s.sh(n.part(), fmt.Sprintf("ip addr add 192.168.7.%d/24 dev eth0; ip route add default via 192.168.7.254", n.i))
		}
		if strings.Contains(f, "6") {
			s.sh(n.part(), fmt.Sprintf("ip addr add fd07::%d/64 dev eth0 nodad; ip route add default via fd07::fe", n.i))
		}
		s.nodes = append(s.nodes, n)
	}
	// Ports of a bridge forward only when the kernel has come round to noticing that their link is up, within a second or so.
	for _, n := range s.nodes {
		for family, gateway := range map[string]string{"4": "192.168.7.254", "6": "fd07::fe"} {
			if strings.Contains(n.families, family) {
				eventually(t, n.part()+" to reach "+gateway, 20*time.Second, func() bool { _, ok := s.pings(n.part(), gateway, 56, ""); return ok })
			}
		}
	}
	return s
}

// plug connects a namespace's eth0 with the switch.
func (s *segment) plug(part, port string, mtu int) {
	s.sh("sw", fmt.Sprintf("ip link add %s mtu %d type veth peer name eth0 mtu %d netns %s; ip link set %s master br0 up", port, mtu, mtu, s.name(part), port))
	s.sh(part, "ip link set eth0 up")
}

func (n *node) part() string { return fmt.Sprintf("n%d", n.i) }
func (n *node) pod() string  { return fmt.Sprintf("p%d", n.i) }

// addPod wires a Pod as the kind pod does.
func (n *node) addPod(mtu int) {
	s := n.segment
	s.create(n.pod())
	s.sh(n.part(), fmt.Sprintf(`ip link add tsupod mtu %[1]d type veth peer name eth0 mtu %[1]d address 0a:58:0a:f4:00:0%[3]d netns %[2]s
		ip link set tsupod address ee:ee:ee:ee:ee:ee; ip link set tsupod up
		echo 0 > /proc/sys/net/ipv4/conf/tsupod/rp_filter
		ip route add 10.244.%[3]d.5/32 dev tsupod proto 84; ip route add fd00:%[3]d::5/128 dev tsupod proto 84
		ip neigh add 10.244.%[3]d.5 lladdr 0a:58:0a:f4:00:0%[3]d dev tsupod nud permanent; ip neigh add fd00:%[3]d::5 lladdr 0a:58:0a:f4:00:0%[3]d dev tsupod nud permanent`, mtu, s.name(n.pod()), n.i))
	s.sh(n.pod(), fmt.Sprintf(`ip link set eth0 up; ip addr add 10.244.%[1]d.5/32 dev eth0; ip addr add fd00:%[1]d::5/128 dev eth0 nodad
		ip neigh add 169.254.1.1 lladdr ee:ee:ee:ee:ee:ee dev eth0 nud permanent; ip route add default via 169.254.1.1 dev eth0 onlink
		ip neigh add fe80::1 lladdr ee:ee:ee:ee:ee:ee dev eth0 nud permanent; ip route add default via fe80::1 dev eth0`, n.i))
}

// info is the node as the cluster sees it.
func (n *node) info() overlay.Node {
	o := overlay.Node{Name: n.part(), UID: n.part(), PodCIDRs: []netip.Prefix{
		netip.MustParsePrefix(fmt.Sprintf("10.244.%d.0/24", n.i)), netip.MustParsePrefix(fmt.Sprintf("fd00:%d::/64", n.i)),
	}}
	if strings.Contains(n.families, "4") {
		o.Addresses = append(o.Addresses, netip.MustParseAddr(fmt.Sprintf("192.168.7.%d", n.i)))
	}
	if strings.Contains(n.families, "6") {
		o.Addresses = append(o.Addresses, netip.MustParseAddr(fmt.Sprintf("fd07::%d", n.i)))
	}
	return o
}

func (s *segment) infos() (all []overlay.Node) {
	for _, n := range s.nodes {
		all = append(all, n.info())
	}
	return all
}

// start runs an agent on a node; it knows no nodes yet.
func (n *node) start(cfg overlay.Config) {
	t := n.segment.t
	t.Helper()
	cfg.Namespace = n.ns
	level := slog.LevelInfo
	if _, measuring := t.(*testing.B); measuring {
		level = slog.LevelError
	}
	log := slog.New(slog.NewTextHandler(writer{t}, &slog.HandlerOptions{Level: level})).With("node", n.part())
	ov, err := overlay.New(cfg, n.part(), log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- ov.Run(ctx) }()
	n.ov = ov
	n.stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		n.stop = func() {}
	}
	t.Cleanup(func() { n.stop() })
}

// run starts agents on all nodes, tells them of each other, waits until all are ready, and adds the Pods.
func (s *segment) run(cfg overlay.Config) {
	s.t.Helper()
	for _, n := range s.nodes {
		n.start(cfg)
		n.ov.SetNodes(s.infos())
	}
	for _, n := range s.nodes {
		n.wait()
		n.addPod(n.ov.PodMTU())
	}
}

func (n *node) wait() {
	n.segment.t.Helper()
	select {
	case <-n.ov.Ready():
	case <-time.After(10 * time.Second):
		n.segment.t.Fatalf("%s is not ready: %+v", n.part(), n.ov.Status())
	}
}

// pings sends one packet of a size from a namespace; payload is without headers.
func (s *segment) pings(part, to string, payload int, flags string) (string, bool) {
	out, err := s.try(part, fmt.Sprintf("ping -c 1 -W 2 -s %d %s %s", payload, flags, to))
	return out, err == nil
}

// mustPing bears a packet that a busy machine did not carry within two seconds.
func (s *segment) mustPing(part, to string) {
	s.t.Helper()
	out, ok := s.pings(part, to, 56, "")
	for range 2 {
		if !ok {
			out, ok = s.pings(part, to, 56, "")
		}
	}
	if !ok {
		s.t.Errorf("%s does not reach %s: %s", part, to, out)
	}
}

// eventually waits for something that is to happen by itself and tells how long that took.
func eventually(t testing.TB, what string, within time.Duration, ok func() bool) time.Duration {
	t.Helper()
	begin := time.Now()
	for !ok() {
		if time.Since(begin) > within {
			t.Fatalf("%s: not within %v", what, within)
		}
		time.Sleep(2 * time.Millisecond)
	}
	return time.Since(begin)
}

// in opens sockets in a namespace; they stay there.
func (s *segment) in(part string, fn func() error) {
	s.t.Helper()
	n, err := netns.Open("/run/netns/" + s.name(part))
	if err != nil {
		s.t.Fatal(err)
	}
	defer n.Close()
	if err := n.Do(fn); err != nil {
		s.t.Fatalf("in %s: %v", part, err)
	}
}

// echo serves TCP and tells each client its address as the server sees it; then it echoes.
func (s *segment) echo(part, at string) {
	s.t.Helper()
	s.in(part, func() error {
		l, err := net.Listen("tcp", at)
		if err != nil {
			return err
		}
		s.t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					defer c.Close()
					host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
					fmt.Fprintln(c, host)
					b := make([]byte, 64<<10)
					for {
						n, err := c.Read(b)
						if err != nil {
							return
						}
						if _, err := c.Write(b[:n]); err != nil {
							return
						}
					}
				}()
			}
		}()
		return nil
	})
}

// seenAs connects and returns the address that the server sees.
func (s *segment) seenAs(part, to string) (as string, err error) {
	s.in(part, func() error {
		var c net.Conn
		if c, err = net.DialTimeout("tcp", to, 2*time.Second); err != nil {
			return nil
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(2 * time.Second))
		_, err = fmt.Fscanln(c, &as)
		return nil
	})
	return as, err
}

// writer shows an agent's log with the test that fails.
type writer struct{ t testing.TB }

func (w writer) Write(b []byte) (int, error) {
	w.t.Logf("%s", strings.TrimSpace(string(b)))
	return len(b), nil
}
