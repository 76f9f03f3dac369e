package hostport_test

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/attach/hostport"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
	"github.com/tsunagu-net/tsunagu/kernel/nft"
)

// node is a node with two Pods and a host outside, each a namespace. The node is 192.168.7.1, 192.168.7.11 and fd07::1, the outside
// .254 and ::fe, Pod i 10.244.1.i and fd00:1::i.
type node struct {
	t     testing.TB
	nft   *nft.Table
	ports *hostport.Table
	ns    *netns.Namespace
}

func newNode(t testing.TB) *node {
	n := &node{t: t}
	n.ns = n.create("node")
	n.create("out")
	n.sh("node", `ip link add eth0 type veth peer name eth0 netns tst-hp-out; ip link set eth0 up
		ip addr add 192.168.7.1/24 dev eth0; ip addr add 192.168.7.11/24 dev eth0; ip addr add fd07::1/64 dev eth0
		echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding`)
	n.sh("out", "ip link set eth0 up; ip addr add 192.168.7.254/24 dev eth0; ip addr add fd07::fe/64 dev eth0; ip route add default via 192.168.7.1; ip route add default via fd07::1")
	for i := 1; i <= 2; i++ {
		pod := fmt.Sprintf("pod%d", i)
		n.create(pod)
		n.sh("node", fmt.Sprintf(`ip link add tsu%[1]s type veth peer name eth0 netns tst-hp-%[1]s; ip link set tsu%[1]s address ee:ee:ee:ee:ee:ee; ip link set tsu%[1]s up
			ip route add 10.244.1.%[2]d/32 dev tsu%[1]s; ip route add fd00:1::%[2]d/128 dev tsu%[1]s`, pod, i))
		n.sh(pod, fmt.Sprintf(`ip link set eth0 up; ip addr add 10.244.1.%[1]d/32 dev eth0; ip addr add fd00:1::%[1]d/128 dev eth0
			ip neigh add 169.254.1.1 lladdr ee:ee:ee:ee:ee:ee dev eth0 nud permanent; ip route add default via 169.254.1.1 dev eth0 onlink
			ip neigh add fe80::1 lladdr ee:ee:ee:ee:ee:ee dev eth0 nud permanent; ip route add default via fe80::1 dev eth0`, i))
	}
	n.nft = nft.Open(n.ns, nft.Options{})
	n.ports = hostport.New(n.nft, slog.New(slog.NewTextHandler(writer{t}, nil)))
	return n
}

func (n *node) create(part string) *netns.Namespace {
	name := "tst-hp-" + part
	must(n.t, netns.Delete(name))
	ns, err := netns.Create(name)
	must(n.t, err)
	n.t.Cleanup(func() { ns.Close(); must(n.t, netns.Delete(name)) })
	n.sh(part, "ip link set lo up; echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad")
	return ns
}

func (n *node) sh(part, script string) string {
	n.t.Helper()
	out, err := exec.Command("nsenter", "--net=/run/netns/tst-hp-"+part, "sh", "-ec", script).CombinedOutput()
	if err != nil {
		n.t.Fatalf("in %s: %s: %v: %s", part, script, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (n *node) list() string { return n.sh("node", "nft list table inet tsunagu") }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (n *node) in(part string, fn func() error) {
	n.t.Helper()
	ns, err := netns.Open("/run/netns/tst-hp-" + part)
	must(n.t, err)
	defer ns.Close()
	must(n.t, ns.Do(fn))
}

// serve answers at a TCP or UDP port with the server's name and the client's address.
func (n *node) serve(part, network, at string) {
	n.t.Helper()
	n.in(part, func() error {
		if network == "udp" {
			c, err := net.ListenPacket(network, at)
			if err != nil {
				return err
			}
			n.t.Cleanup(func() { c.Close() })
			go func() {
				b := make([]byte, 100)
				for {
					_, from, err := c.ReadFrom(b)
					if err != nil {
						return
					}
					host, _, _ := net.SplitHostPort(from.String())
					_, _ = c.WriteTo([]byte(part+" "+host), from)
				}
			}()
			return nil
		}
		l, err := net.Listen(network, at)
		if err != nil {
			return err
		}
		n.t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
				_, _ = fmt.Fprint(c, part+" "+host)
				c.Close()
			}
		}()
		return nil
	})
}

// patience is long, for machines that do much else meanwhile; what is refused is refused at once.
const patience = 3 * time.Second

// ask returns who answered and whom it saw; an error when nobody did.
func (n *node) ask(part, network, to string) (answer string, err error) {
	n.t.Helper()
	return n.askWithin(part, network, to, patience)
}

func (n *node) askWithin(part, network, to string, within time.Duration) (answer string, err error) {
	n.t.Helper()
	n.in(part, func() error {
		var c net.Conn
		if c, err = net.DialTimeout(network, to, within); err != nil {
			return nil
		}
		defer c.Close()
		answer, err = exchange(c, within)
		return nil
	})
	return answer, err
}

func exchange(c net.Conn, within time.Duration) (string, error) {
	_ = c.SetDeadline(time.Now().Add(within))
	if _, udp := c.(*net.UDPConn); udp {
		if _, err := c.Write([]byte("?")); err != nil {
			return "", err
		}
	}
	b := make([]byte, 100)
	k, err := c.Read(b)
	return string(b[:k]), err
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

type writer struct{ t testing.TB }

func (w writer) Write(b []byte) (int, error) {
	w.t.Logf("%s", strings.TrimSpace(string(b)))
	return len(b), nil
}

func mapping(t testing.TB, ip string, host, port int, protocol string) hostport.Mapping {
	t.Helper()
	m, err := hostport.ParseMapping(ip, host, port, protocol)
	must(t, err)
	return m
}

// sandbox is Pod i with ports.
func sandbox(i int, mappings ...hostport.Mapping) hostport.Sandbox {
	return hostport.Sandbox{
		ID: fmt.Sprintf("sandbox%d", i), Name: fmt.Sprintf("default/pod%d", i), HostIf: fmt.Sprintf("tsupod%d", i), Mappings: mappings,
		Addresses: []netip.Addr{netip.MustParseAddr(fmt.Sprintf("10.244.1.%d", i)), netip.MustParseAddr(fmt.Sprintf("fd00:1::%d", i))},
	}
}
