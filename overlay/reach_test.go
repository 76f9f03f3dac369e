package overlay_test

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/overlay"
)

// allReach checks every way a packet has between nodes.
func allReach(t *testing.T, s *segment) {
	t.Helper()
	for _, a := range s.nodes {
		for _, b := range s.nodes {
			if a == b {
				continue
			}
			for _, to := range []string{fmt.Sprintf("10.244.%d.5", b.i), fmt.Sprintf("fd00:%d::5", b.i)} {
				s.mustPing(a.pod(), to)
				s.mustPing(a.part(), to) // from the node itself
			}
		}
	}
}

// fullSize checks that packets of the Pods' MTU pass whole, and larger ones do not leave the Pod.
func fullSize(t *testing.T, s *segment, mtu int) {
	t.Helper()
	for _, n := range s.nodes {
		if got := n.ov.PodMTU(); got != mtu {
			t.Errorf("%s: Pods get an MTU of %d, want %d", n.part(), got, mtu)
		}
	}
	for to, header := range map[string]int{"10.244.2.5": 28, "fd00:2::5": 48} {
		if out, ok := s.pings("p1", to, mtu-header, "-M do"); !ok {
			t.Errorf("a full packet to %s does not pass: %s", to, out)
		}
		if _, ok := s.pings("p1", to, mtu-header+1, "-M do"); ok {
			t.Errorf("a packet larger than the MTU to %s passes without fragmentation", to)
		}
		if out, ok := s.pings("p1", to, 4000, ""); !ok {
			t.Errorf("a fragmented packet to %s does not pass: %s", to, out)
		}
	}
}

func TestGPE(t *testing.T) {
	s := newSegment(t, "gpe", 1500, "46", "46", "46")
	s.run(overlay.Config{Masquerade: true})
	allReach(t, s)
	fullSize(t, s, 1464)
	for _, n := range s.nodes {
		if st := n.ov.Status(); st.Nodes != 2 || st.Underlay != "eth0" || st.MTU != 1500 || len(st.Problems) != 0 || st.Err != "" || st.Repairs != 0 {
			t.Errorf("%s: %+v", n.part(), st)
		}
	}
	t.Run("who sees whom", func(t *testing.T) { seen(t, s) })
	s.echo("p2", ":81")
	t.Run("a source from elsewhere", func(t *testing.T) { foreignSource(t, s) })
	t.Run("with a strict reverse path filter", func(t *testing.T) {
		for _, n := range s.nodes {
			s.sh(n.part(), "echo 1 > /proc/sys/net/ipv4/conf/all/rp_filter")
		}
		allReach(t, s)
		foreignSource(t, s)
	})
	t.Run("unused addresses", func(t *testing.T) { unused(t, s) })
}

// seen checks which source address the other side sees.
func seen(t *testing.T, s *segment) {
	for part, at := range map[string]string{"p2": ":80", "out": ":80", "n2": ":80"} {
		s.echo(part, at)
	}
	for _, c := range []struct{ why, from, to, as string }{
		{"Pods see each other", "p1", "10.244.2.5:80", "10.244.1.5"},
		{"Pods see each other", "p1", "[fd00:2::5]:80", "fd00:1::5"},
		{"a node comes with its own address of the pod network", "n1", "10.244.2.5:80", "10.244.1.1"},
		{"a node comes with its own address of the pod network", "n1", "[fd00:2::5]:80", "fd00:1::1"},
		{"the outside sees the node", "p1", "192.168.7.254:80", "192.168.7.1"},
		{"the outside sees the node", "p1", "[fd07::fe]:80", "fd07::1"},
		{"another node sees the node", "p1", "192.168.7.2:80", "192.168.7.1"},
		{"another node sees the node", "p1", "[fd07::2]:80", "fd07::1"},
		{"a Pod's own node sees the Pod", "p2", "192.168.7.2:80", "10.244.2.5"},
		{"a Pod reaches another node's address on the pod network", "p1", "10.244.2.1:80", "10.244.1.5"},
		{"a Pod reaches another node's address on the pod network", "p1", "[fd00:2::1]:80", "fd00:1::5"},
	} {
		if as, err := s.seenAs(c.from, c.to); as != c.as || err != nil {
			t.Errorf("%s: %s to %s is seen as %q (%v), want %s", c.why, c.from, c.to, as, err, c.as)
		}
	}
}

// Service proxies translate destinations after the node has chosen a source for another one; answers must come by the tunnel even so.
func foreignSource(t *testing.T, s *segment) {
	for from, to := range map[string]string{"192.168.7.1": "10.244.2.5:81", "fd07::1": "[fd00:2::5]:81", "10.244.1.1": "10.244.2.5:81"} {
		want := map[bool]string{true: "10.244.1.1", false: "fd00:1::1"}[addr(from).Is4()]
		var as string
		s.in("n1", func() error {
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: addr(from).AsSlice()}, Timeout: 3 * time.Second}
			c, err := d.Dial("tcp", to)
			if err != nil {
				return err
			}
			defer c.Close()
			_, err = fmt.Fscanln(c, &as)
			return err
		})
		if as != want {
			t.Errorf("a connection from %s is seen as %s, want %s", from, as, want)
		}
	}
}

// unused checks that packets to addresses that no Pod has come to an end at once, instead of running in circles.
func unused(t *testing.T, s *segment) {
	for from, to := range map[string]string{"p1": "10.244.2.77", "n1": "10.244.2.78", "p2": "10.244.2.79"} {
		out, err := s.try(from, "ping -c 1 -W 2 "+to)
		if err == nil || !contains(out, "Host Unreachable") {
			t.Errorf("%s to %s: %s", from, to, out)
		}
	}
	out, err := s.try("p1", "ping -c 1 -W 2 fd00:2::77")
	if err == nil || !contains(out, "unreachable") && !contains(out, "No route") {
		t.Errorf("to fd00:2::77: %s", out)
	}
}

// Pods have both families whatever the nodes have.
func TestUnderlayFamilies(t *testing.T) {
	for _, c := range []struct {
		families string
		mtu      int
	}{{"4", 1464}, {"6", 1444}} {
		t.Run("underlay "+c.families, func(t *testing.T) {
			s := newSegment(t, "u"+c.families, 1500, c.families, c.families)
			s.run(overlay.Config{Masquerade: true})
			allReach(t, s)
			fullSize(t, s, c.mtu)
		})
	}
}

// A node of both families reaches one that has only the family it does not prefer, with the MTU of that way.
func TestMixedFamilies(t *testing.T) {
	s := newSegment(t, "mix", 1500, "46", "6", "46")
	s.run(overlay.Config{Masquerade: true})
	allReach(t, s)
	if out := s.sh("n1", "ip route show 10.244.2.0/24; ip route show 10.244.3.0/24"); !contains(out, "encap ip6") || !contains(out, "mtu 1444") || !contains(out, "encap ip ") {
		t.Error(out)
	}
	if out, ok := s.pings("p1", "10.244.2.5", 1464-28, "-M want"); !ok {
		// The first one learns the path's MTU, the second one heeds it.
		if out2, ok := s.pings("p1", "10.244.2.5", 1464-28, "-M want"); !ok {
			t.Errorf("%s, then %s", out, out2)
		}
	}
}

func TestDirect(t *testing.T) {
	for _, encap := range []overlay.Encap{overlay.None, overlay.Auto} {
		t.Run(string(encap), func(t *testing.T) {
			s := newSegment(t, "dir", 1500, "46", "46")
			s.run(overlay.Config{Encap: encap, Masquerade: true})
			allReach(t, s)
			mtu := 1500
			if encap == overlay.Auto {
				mtu = 1464
			}
			fullSize(t, s, mtu)
			out := s.sh("n1", "ip route show proto 84; ip -6 route show proto 84")
			if contains(out, "encap") || !contains(out, "10.244.2.0/24 via 192.168.7.2 dev eth0") || !contains(out, "fd00:2::/64 via fd07::2 dev eth0") {
				t.Error(out)
			}
		})
	}
}

// Of nodes on two segments, only those on the other one are reached by a tunnel.
func TestAutoBeyondTheSegment(t *testing.T) {
	s := newSegment(t, "auto", 1500, "4", "4", "4")
	s.sh("out", "echo 1 > /proc/sys/net/ipv4/ip_forward; ip addr add 192.168.8.254/24 dev eth0")
	s.sh("n3", "ip addr flush dev eth0; ip addr add 192.168.8.3/24 dev eth0; ip route add default via 192.168.8.254")
	infos := s.infos()
	infos[2].Addresses[0] = addr("192.168.8.3")
	for _, n := range s.nodes {
		n.start(overlay.Config{Encap: overlay.Auto})
		n.ov.SetNodes(infos)
	}
	for _, n := range s.nodes {
		n.wait()
		n.addPod(n.ov.PodMTU())
	}
	allReach(t, s)
	out := s.sh("n1", "ip route show proto 84")
	if !contains(out, "10.244.2.0/24 via 192.168.7.2") || !contains(out, "encap ip id 1 src 192.168.7.1 dst 192.168.8.3") {
		t.Error(out)
	}
}

// Whoever is no node brings no packet into the pod network: not from outside, not from a Pod, not through a node.
func TestNobodyElseEncapsulates(t *testing.T) {
	s := newSegment(t, "spoof", 1500, "4", "4")
	s.run(overlay.Config{Masquerade: true})
	s.mustPing("p1", "10.244.2.5")
	received := func() string {
		return s.sh("p2", "cat /proc/net/snmp | awk '/^Icmp:/{print $2}' | tail -1")
	}
	// The outside and Pod 1 make themselves a tunnel to node 2.
	for part, local := range map[string]string{"out": "192.168.7.254", "p1": "10.244.1.5"} {
		s.sh(part, "ip link add vx type vxlan external gpe dstport 4790; ip link set vx up; ip addr add 10.244.9.9/32 dev vx")
		s.sh(part, fmt.Sprintf("ip route add 10.244.2.5/32 encap ip id 1 src %s dst 192.168.7.2 dev vx src 10.244.9.9", local))
		before := received()
		if _, ok := s.pings(part, "10.244.2.5", 56, ""); ok {
			t.Errorf("%s gets an answer", part)
		}
		if after := received(); after != before {
			t.Errorf("a packet that %s encapsulated arrived: %s ICMP packets, then %s", part, before, after)
		}
	}
	if out := s.sh("n2", "nft list table inet tsunagu"); !contains(out, "notrack") {
		t.Error(out)
	}
	if out := s.sh("n2", "cat /proc/net/nf_conntrack 2>/dev/null || conntrack -L 2>/dev/null"); contains(out, "dport=4790 src=192.168.7.2 dst=192.168.7.1") {
		t.Errorf("tunnels are tracked: %s", out)
	}
}
