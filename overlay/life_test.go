package overlay_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/kernel/route"
	"github.com/tsunagu-net/tsunagu/overlay"
)

// ours is the overlay's part of a node, as nft and ip show it.
func (n *node) ours() string {
	out, _ := n.segment.try(n.part(), `ip -d link show tsu-vx | sed 's/^[0-9]*://'; ip addr show dev tsu-vx | grep inet
		ip route show proto 84; ip -6 route show proto 84 | sed 's/ pref medium//'; nft list table inet tsunagu`)
	return out
}

// Whatever an administrator, another tool or a network restart does to the node, Pods reach each other again within a second. On a
// machine that does much else a single repair may take longer; half of them may not.
func TestRepairs(t *testing.T) {
	s := newSegment(t, "rep", 1500, "46", "46")
	s.run(overlay.Config{Masquerade: true})
	s.mustPing("p1", "10.244.2.5")
	n := s.nodes[0]
	want := n.ours()
	var times []time.Duration
	for _, harm := range []string{
		"ip link del tsu-vx",
		"ip link set tsu-vx down",
		"ip link set tsu-vx mtu 1300",
		"ip addr flush dev tsu-vx",
		"ip addr add 10.99.0.1/32 dev tsu-vx",
		"ip route flush proto 84 dev tsu-vx",
		"ip -6 route flush proto 84 dev tsu-vx",
		"ip route del 10.244.2.0/24",
		"ip route replace 10.244.2.0/24 via 192.168.7.254",
		"ip route replace 10.244.2.0/24 proto 84 encap ip id 7 dst 192.168.7.9 dev tsu-vx",
		"ip route add 10.77.0.0/16 proto 84 encap ip id 7 dst 192.168.7.9 dev tsu-vx",
		"ip route del unreachable 10.244.1.0/24 metric 1073741824; ip -6 route del unreachable fd00:1::/64 dev lo",
		"nft flush ruleset",
		"nft delete table inet tsunagu",
		"nft flush chain inet tsunagu snat-postrouting",
		"nft flush set inet tsunagu nodes4",
		"echo 1 > /proc/sys/net/ipv4/conf/tsu-vx/rp_filter; ip link set tsu-vx down",
	} {
		before := n.ov.Status().Repairs
		s.sh(n.part(), harm)
		took := eventually(t, harm, 5*time.Second, func() bool { return n.ours() == want })
		times = append(times, took)
		eventually(t, "reach after "+harm, 5*time.Second, func() bool {
			_, ok := s.pings("p1", "10.244.2.5", 56, "-W 1")
			return ok
		})
		t.Logf("%-90.90s repaired in %v", harm, took.Round(time.Millisecond))
		eventually(t, "a word about "+harm, 5*time.Second, func() bool { return n.ov.Status().Repairs > before })
	}
	slices.Sort(times)
	if middle := times[len(times)/2]; middle > time.Second {
		t.Errorf("half of the repairs took %v or more", middle)
	}
	if st := n.ov.Status(); st.Err != "" || len(st.Problems) != 0 {
		t.Errorf("%+v", st)
	}
}

// Direct routes go with the underlay and come back with it.
func TestUnderlayFlaps(t *testing.T) {
	s := newSegment(t, "flap", 1500, "46", "46")
	s.run(overlay.Config{Encap: overlay.Auto})
	n := s.nodes[0]
	want := n.ours()
	s.sh("n1", "ip link set eth0 down; ip link set eth0 up; ip addr replace fd07::1/64 dev eth0 nodad")
	took := eventually(t, "routes after a flap", 5*time.Second, func() bool { return n.ours() == want })
	t.Logf("repaired in %v", took)
	allReach(t, s)
}

// 500 nodes are 1000 messages, one per node and family, and a change of one is 2.
func TestManyNodes(t *testing.T) {
	s := newSegment(t, "many", 1500, "46")
	n := s.nodes[0]
	infos := s.infos()
	for i := range 500 {
		infos = append(infos, overlay.Node{
			Name: fmt.Sprintf("fake%d", i), Addresses: []netip.Addr{addr(fmt.Sprintf("172.16.%d.%d", i/250, i%250+1))},
			PodCIDRs: []netip.Prefix{prefix(fmt.Sprintf("10.%d.%d.0/24", 100+i/250, i%250)), prefix(fmt.Sprintf("fd01:%x::/64", i))},
		})
	}
	n.start(overlay.Config{Masquerade: true})
	n.ov.SetNodes(infos[:1])
	n.wait()
	for _, step := range []struct {
		what     string
		nodes    []overlay.Node
		messages int
	}{
		{"500 nodes join", infos, 1000}, {"nothing happens", infos, 0}, {"one leaves", infos[:500], 2}, {"it joins", infos, 2}, {"all leave", infos[:1], 1000},
	} {
		changes := s.watchRoutes("n1")
		routes := func() int { return n.ov.Status().Routes }
		begin := time.Now()
		n.ov.SetNodes(step.nodes)
		eventually(t, step.what, 5*time.Second, func() bool { return routes() == 2*len(step.nodes) })
		took := time.Since(begin)
		changes.expect(step.what, step.messages)
		t.Logf("%s: %d messages, %v with waiting", step.what, step.messages, took.Round(time.Millisecond))
	}
	if st := n.ov.Status(); st.Repairs != 0 || st.Err != "" {
		t.Errorf("%+v", st)
	}
}

// A TCP connection that is busy while the agent goes away and comes back loses no packet, and nothing is written anew.
func TestRestartLosesNothing(t *testing.T) {
	s := newSegment(t, "restart", 1500, "46", "46")
	cfg := overlay.Config{Masquerade: true}
	s.run(cfg)
	s.echo("p2", ":80")
	s.echo("out", ":80")
	var conns []net.Conn
	for _, to := range []string{"10.244.2.5:80", "[fd00:2::5]:80", "203.0.113.9:80"} {
		s.in("p1", func() error {
			c, err := net.DialTimeout("tcp", to, 2*time.Second)
			conns = append(conns, c)
			return err
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	var rounds atomic.Int64
	failed := make(chan error, len(conns))
	for _, c := range conns {
		defer c.Close()
		go func() { failed <- talk(ctx, c, &rounds) }()
	}
	n := s.nodes[0]
	before := n.ours()
	lost := map[string]func() string{}
	for _, to := range []string{"10.244.2.5", "fd00:2::5", "203.0.113.9"} {
		lost[to] = s.stream("p1", to)
	}
	index := s.sh("n1", "ip -o link show tsu-vx")
	changes := s.watchRoutes("n1")
	for range 3 {
		n.stop()
		time.Sleep(50 * time.Millisecond)
		if n.ours() != before {
			t.Fatal("something was taken away when the agent ended")
		}
		n.start(cfg) // knows no nodes yet
		time.Sleep(100 * time.Millisecond)
		if n.ours() != before {
			t.Errorf("something was changed before the nodes were known: %s", n.ours())
		}
		n.ov.SetNodes(s.infos())
		n.wait()
		time.Sleep(50 * time.Millisecond)
	}
	cancel()
	for range conns {
		if err := <-failed; err != nil {
			t.Errorf("a connection: %v", err)
		}
	}
	if n.ours() != before || s.sh("n1", "ip -o link show tsu-vx") != index {
		t.Errorf("after three restarts: %s", n.ours())
	}
	changes.expect("three restarts", 0)
	for to, ended := range lost {
		if loss := ended(); loss != "" {
			t.Errorf("packets to %s were lost: %s", to, loss)
		}
	}
	if rounds.Load() < 30 {
		t.Errorf("only %d rounds", rounds.Load())
	}
}

// stream sends 200 packets a second until the returned function is called, which tells of losses.
func (s *segment) stream(part, to string) func() string {
	s.t.Helper()
	ping := exec.Command("nsenter", "--net=/run/netns/"+s.name(part), "ping", "-i", "0.005", to)
	var out strings.Builder
	ping.Stdout = &out
	if err := ping.Start(); err != nil {
		s.t.Fatal(err)
	}
	return func() string {
		_ = ping.Process.Signal(os.Interrupt)
		_ = ping.Wait()
		summary := regexp.MustCompile(`(\d+) packets transmitted, (\d+) received`).FindStringSubmatch(out.String())
		if summary == nil {
			return "ping said " + out.String()
		}
		sent, _ := strconv.Atoi(summary[1])
		received, _ := strconv.Atoi(summary[2])
		if sent < 50 || sent-received > 1 { // one is under way at the end
			return summary[0]
		}
		return ""
	}
}

// talk echoes without pause; every answer must come within five seconds.
func talk(ctx context.Context, c net.Conn, rounds *atomic.Int64) error {
	var greeting string
	if _, err := fmt.Fscanln(c, &greeting); err != nil {
		return err
	}
	b := make([]byte, 10000)
	for ctx.Err() == nil {
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := c.Write(b); err != nil {
			return err
		}
		if _, err := io.ReadFull(c, b); err != nil {
			return err
		}
		rounds.Add(1)
	}
	return nil
}

// routeWatch collects what is told about routes of our protocol.
type routeWatch struct {
	t    testing.TB
	mu   sync.Mutex
	seen []route.Event
	stop func()
}

func (s *segment) watchRoutes(part string) *routeWatch {
	s.t.Helper()
	var m *route.Monitor
	s.in(part, func() (err error) {
		m, err = route.NewMonitor(nil)
		return err
	})
	ctx, cancel := context.WithCancel(context.Background())
	w := &routeWatch{t: s.t}
	done := make(chan error)
	go func() {
		done <- m.Run(ctx, func(e route.Event) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if e.About == route.Lost || e.About == route.OfRoute && e.Protocol == route.Protocol {
				w.seen = append(w.seen, e)
			}
		})
	}()
	w.stop = func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
	}
	return w
}

func (w *routeWatch) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.seen)
}

// expect waits for so many, and a little for more of them, and ends the watch.
func (w *routeWatch) expect(what string, messages int) {
	w.t.Helper()
	for begin := time.Now(); w.count() < messages && time.Since(begin) < 5*time.Second; {
		time.Sleep(5 * time.Millisecond)
	}
	time.Sleep(200 * time.Millisecond)
	w.stop()
	if w.count() != messages {
		w.t.Errorf("%s: %d routes changed, want %d: %.500s", what, w.count(), messages, fmt.Sprint(w.seen))
	}
}

// Nodes come, go, and change their addresses and prefixes; each costs one message per family.
func TestNodesComeAndGo(t *testing.T) {
	s := newSegment(t, "life", 1500, "46", "46", "46")
	s.run(overlay.Config{Masquerade: true})
	n, infos := s.nodes[0], s.infos()
	told := func(what string, nodes []overlay.Node, messages int) {
		t.Helper()
		changes := s.watchRoutes("n1")
		n.ov.SetNodes(nodes)
		changes.expect(what, messages)
	}
	told("nothing new", infos, 0)
	told("a node leaves", infos[:2], 2)
	if _, ok := s.pings("p1", "10.244.3.5", 56, "-W 1"); ok {
		t.Error("the node that left is still reached")
	}
	told("it comes back", infos, 2)
	s.mustPing("p1", "10.244.3.5")

	readdressed := slices.Clone(infos)
	readdressed[2].Addresses = []netip.Addr{addr("192.168.7.33"), addr("fd07::33")}
	s.sh("n3", "ip addr flush dev eth0 scope global; ip addr add 192.168.7.33/24 dev eth0; ip addr add fd07::33/64 dev eth0 nodad; ip route replace default via 192.168.7.254; ip -6 route replace default via fd07::fe")
	s.nodes[2].ov.SetNodes(readdressed)
	s.nodes[1].ov.SetNodes(readdressed)
	told("it has other addresses", readdressed, 2)
	eventually(t, "reach at the new address", 5*time.Second, func() bool { _, ok := s.pings("p1", "10.244.3.5", 56, "-W 1"); return ok })
	s.mustPing("p3", "fd00:1::5")

	moved := slices.Clone(readdressed)
	moved[2].PodCIDRs = []netip.Prefix{prefix("10.244.30.0/24"), prefix("fd00:30::/64")}
	moved[2].UID = "again" // re-created under its name
	told("it was re-created with other prefixes", moved, 4)
	s.nodes[2].ov.SetNodes(moved)
	eventually(t, "the node's own part follows", 5*time.Second, func() bool {
		out := s.nodes[2].ours()
		return contains(out, "unreachable 10.244.30.0/24") && contains(out, "inet 10.244.30.1/32") && !contains(out, "10.244.3.0/24") && !contains(out, "inet 10.244.3.1/32")
	})
	eventually(t, "reach of the node in its new prefix", 5*time.Second, func() bool { _, ok := s.pings("p1", "10.244.30.1", 56, "-W 1"); return ok })
}

// What an agent missed while it was down is cleared when it knows all nodes, not before.
func TestPrunesLate(t *testing.T) {
	s := newSegment(t, "prune", 1500, "46", "46")
	s.run(overlay.Config{})
	n, infos := s.nodes[0], s.infos()
	n.ov.SetNodes(append(slices.Clone(infos), overlay.Node{
		Name: "gone", PodCIDRs: []netip.Prefix{prefix("10.244.9.0/24")}, Addresses: []netip.Addr{addr("192.168.7.9")},
	}))
	gone := func() bool { return !contains(n.ours(), "10.244.9.0/24") }
	eventually(t, "the route to the node", 5*time.Second, func() bool { return !gone() })
	n.stop()
	n.start(overlay.Config{})
	s.sh("n1", "ip route add 10.244.1.77/32 dev tsupod proto 84") // a Pod's
	time.Sleep(200 * time.Millisecond)
	if gone() {
		t.Error("removed before all nodes were known")
	}
	n.ov.SetNodes(infos)
	eventually(t, "the end of the stale route and elements", 5*time.Second, gone)
	if out := s.sh("n1", "ip route show proto 84"); !contains(out, "10.244.1.77") || !contains(out, "10.244.1.5") {
		t.Errorf("routes of Pods are gone: %s", out)
	}
}

// A device that has our name and is something else is none of ours.
func TestReplacesStrangersDevice(t *testing.T) {
	s := newSegment(t, "strange", 1500, "46", "46")
	s.sh("n1", "ip link add tsu-vx type vxlan id 9 dstport 4790 dev eth0; ip link set tsu-vx up; ip addr add 10.9.9.9/24 dev tsu-vx")
	s.sh("n2", "ip link add tsu-vx type vxlan external gpe dstport 4791; ip link set tsu-vx up; ip route add 10.244.8.0/24 proto 84 encap ip id 1 dst 192.168.7.8 dev tsu-vx")
	s.run(overlay.Config{})
	allReach(t, s)
	if out := s.nodes[0].ours() + s.nodes[1].ours(); contains(out, "10.9.9.9") || contains(out, "10.244.8.0") || contains(out, "4791") {
		t.Error(out)
	}
}

// What the node's former network has for the same prefix stays in use.
func TestLeavesFormerNetworkAlone(t *testing.T) {
	s := newSegment(t, "former", 1500, "46")
	s.sh("n1", "ip link add cni0 type bridge; ip link set cni0 up; ip addr add 10.244.1.1/24 dev cni0; ip addr add fd00:1::1/64 dev cni0 nodad")
	s.run(overlay.Config{Masquerade: true})
	if out := s.sh("n1", "ip route get 10.244.1.99; ip -6 route get fd00:1::99"); !contains(out, "10.244.1.99 dev cni0") || !contains(out, "dev cni0 proto kernel") {
		t.Error(out)
	}
}

func TestRemove(t *testing.T) {
	s := newSegment(t, "remove", 1500, "46", "46")
	links := s.sh("n1", "ip -o link | cut -d: -f2; ip route; ip -6 route | grep -v fe80; nft list tables")
	s.run(overlay.Config{Masquerade: true})
	n := s.nodes[0]
	n.stop()
	s.sh("n1", "ip link del tsupod")
	for range 2 { // nothing to remove is fine
		if err := overlay.Remove(n.ns); err != nil {
			t.Fatal(err)
		}
	}
	if after := s.sh("n1", "ip -o link | cut -d: -f2; ip route; ip -6 route | grep -v fe80; nft list tables"); after != links {
		t.Errorf("left over: %s\nwas: %s", after, links)
	}
}

// The MTU of the underlay is followed.
func TestFollowsMTU(t *testing.T) {
	s := newSegment(t, "mtu", 9000, "46", "46")
	s.run(overlay.Config{})
	fullSize(t, s, 8964)
	for _, n := range s.nodes {
		s.sh(n.part(), "ip link set eth0 mtu 1500")
		eventually(t, "the new MTU", 5*time.Second, func() bool { return n.ov.PodMTU() == 1464 && contains(n.ours(), "mtu 1464") })
	}
	// Pods that were made before learn it from the node (ICMP), by their first large packet.
	for to, header := range map[string]int{"10.244.2.5": 28, "fd00:2::5": 48} {
		var out string
		ok := false
		for range 3 { // one packet for each side to learn from
			if out, ok = s.pings("p1", to, 8000-header, "-M want"); ok {
				break
			}
		}
		if !ok {
			t.Errorf("a large packet to %s from a Pod made before: %s", to, out)
		}
	}
	s.echo("p2", ":80")
	var rounds atomic.Int64
	s.in("p1", func() error {
		c, err := net.DialTimeout("tcp", "10.244.2.5:80", time.Second)
		if err != nil {
			return err
		}
		defer c.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		return talk(ctx, c, &rounds)
	})
	if rounds.Load() == 0 {
		t.Error("no data passed")
	}
}

// Without a MTU of its own, the tunnel takes what is left of the path: a smaller one is told to Pods, not swallowed.
func TestSmallerPath(t *testing.T) {
	s := newSegment(t, "path", 1500, "4", "4")
	s.run(overlay.Config{MTU: 1600}) // wrong: more than there is
	for _, size := range []int{1400, 1500} {
		ok := false
		for range 3 {
			_, ok = s.pings("p1", "10.244.2.5", size, "-M want")
			if ok {
				break
			}
		}
		if !ok {
			t.Errorf("%d bytes do not arrive", size)
		}
	}
}

func TestWaits(t *testing.T) {
	s := newSegment(t, "wait", 1500, "4")
	n := s.nodes[0]
	n.start(overlay.Config{})
	ready := func() bool {
		select {
		case <-n.ov.Ready():
			return true
		default:
			return false
		}
	}
	info := n.info()
	waitsFor := func(what string) {
		t.Helper()
		eventually(t, "to wait for "+what, 5*time.Second, func() bool { return contains(n.ov.Status().Err, what) })
		if ready() {
			t.Errorf("ready without %s", what)
		}
	}
	waitsFor("list of nodes")
	n.ov.SetNodes(nil)
	waitsFor("not in the cluster")
	n.ov.SetNodes([]overlay.Node{{Name: "n1", Addresses: info.Addresses}})
	waitsFor("no podCIDR")
	n.ov.SetNodes([]overlay.Node{{Name: "n1", PodCIDRs: info.PodCIDRs}})
	waitsFor("no InternalIP")
	n.ov.SetNodes([]overlay.Node{info})
	n.wait()
	if st := n.ov.Status(); st.Err != "" || st.Nodes != 0 {
		t.Errorf("a cluster of one: %+v", st)
	}
}
