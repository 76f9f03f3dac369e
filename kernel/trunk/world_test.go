package trunk_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
	"github.com/tsunagu-net/tsunagu/kernel/trunk"
)

// world is a wire with nodes on it: a bridge that looks at no tag.
type world struct {
	testing.TB
	name string
	wire *netns.Namespace
	made int
}

var worlds atomic.Int32

func newWorld(t testing.TB) *world {
	w := &world{TB: t, name: fmt.Sprintf("tst-trunk-%d-%d", os.Getpid(), worlds.Add(1))}
	w.wire = w.namespace("wire")
	w.must(w.dial(w.wire).Apply(link.NewBridge(link.End{Name: "wire", MTU: 9100})))
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) namespace(name string) *netns.Namespace {
	w.Helper()
	name = w.name + "-" + name
	n, err := netns.Create(name)
	w.must(err)
	w.Cleanup(func() {
		n.Close()
		if err := netns.Delete(name); err != nil {
			w.Error(err)
		}
	})
	return n
}

func (w *world) dial(n *netns.Namespace) *link.Conn {
	w.Helper()
	c, err := link.Dial(n)
	w.must(err)
	w.Cleanup(func() { c.Close() })
	return c
}

// node is a machine with one trunk, eth1.
type node struct {
	*world
	ns     *netns.Namespace
	conn   *link.Conn
	sw     *trunk.Switch
	trunk  link.Link
	number int
	pods   int
}

func (w *world) node() *node {
	w.Helper()
	w.made++
	n := &node{world: w, number: w.made, ns: w.namespace(fmt.Sprintf("node%d", w.made))}
	n.conn = w.dial(n.ns)
	wire := w.dial(w.wire)
	br, err := wire.ByName("wire")
	w.must(err)
	far := fmt.Sprintf("port%d", n.number)
	w.must(wire.Apply(link.NewVeth(link.End{Name: far, MTU: 9100, Master: br.Index}, link.End{Name: "eth1", MTU: 9100, NS: n.ns})))
	n.trunk, err = n.conn.ByName("eth1")
	w.must(err)
	w.must(n.conn.Apply(link.Up("lo", 1), link.Up("eth1", n.trunk.Index)))
	n.open()
	w.Cleanup(func() { n.sw.Close() })
	return n
}

func (n *node) open() {
	n.Helper()
	sw, err := trunk.Open(n.ns)
	n.must(err)
	n.sw = sw
}

// pod is a namespace with net1 on a VLAN.
type pod struct {
	*node
	ns   *netns.Namespace
	conn *link.Conn
	port trunk.Port
	ip   netip.Addr
	ip6  netip.Addr
	net1 link.Link
}

// plug makes a Pod with addresses of its own and no port yet.
func (n *node) plug(vlan int) *pod {
	n.Helper()
	n.pods++
	p := &pod{node: n, ns: n.namespace(fmt.Sprintf("pod%d-%d", n.number, n.pods))}
	p.conn = n.dial(p.ns)
	mac := net.HardwareAddr{2, 0, 0, byte(vlan), byte(n.number), byte(n.pods)}
	host := fmt.Sprintf("tsup%d", n.pods)
	n.must(n.conn.Apply(link.NewVeth(link.End{Name: host, MTU: 9000}, link.End{Name: "net1", MAC: mac, MTU: 9000, NS: p.ns})))
	end, err := n.conn.ByName(host)
	n.must(err)
	p.net1, err = p.conn.ByName("net1")
	n.must(err)
	p.ip = netip.AddrFrom4([4]byte{10, 99, byte(n.number), byte(n.pods)})
	p.ip6 = netip.MustParseAddr(fmt.Sprintf("fd99::%d:%d", n.number, n.pods))
	p.port = trunk.Port{Index: end.Index, Trunk: n.trunk.Index, VLAN: vlan, MAC: mac,
		Check: trunk.Check{MAC: true, Addresses: []netip.Addr{p.ip, p.ip6}}}
	n.must(p.conn.Apply(link.Up("lo", 1), link.Up("net1", p.net1.Index),
		link.AddAddress("net1", p.net1.Index, netip.PrefixFrom(p.ip, 16), link.AddressOptions{}),
		link.AddAddress("net1", p.net1.Index, netip.PrefixFrom(p.ip6, 64), link.AddressOptions{})))
	return p
}

func (n *node) pod(vlan int) *pod {
	n.Helper()
	p := n.plug(vlan)
	n.must(n.sw.Put(p.port))
	return p
}

func (p *pod) reaches(other *pod) {
	p.Helper()
	for _, ip := range []netip.Addr{other.ip, other.ip6} {
		if err := exchange(p.ns, other.ns, ip, 64, 3); err != nil {
			p.Errorf("%s does not reach %s: %v", p.ip, ip, err)
		}
	}
}

func (p *pod) cannotReach(other *pod) {
	p.Helper()
	for _, ip := range []netip.Addr{other.ip, other.ip6} {
		if err := exchange(p.ns, other.ns, ip, 64, 1); err == nil {
			p.Errorf("%s reaches %s", p.ip, ip)
		}
	}
}

// exchange sends a datagram of a size there and back.
func exchange(from, to *netns.Namespace, ip netip.Addr, size, tries int) error {
	var server, client *net.UDPConn
	if err := to.Do(func() (err error) {
		server, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, 0)))
		return err
	}); err != nil {
		return err
	}
	defer server.Close()
	go func() {
		b := make([]byte, 1<<16)
		for {
			n, peer, err := server.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			server.WriteToUDPAddrPort(b[:n], peer)
		}
	}()
	if err := from.Do(func() (err error) {
		client, err = net.DialUDP("udp", nil, server.LocalAddr().(*net.UDPAddr))
		return err
	}); err != nil {
		return err
	}
	defer client.Close()
	b := make([]byte, size)
	var err error
	for range tries {
		if _, err = client.Write(b); err != nil {
			continue
		}
		client.SetReadDeadline(time.Now().Add(time.Duration(tries) * 300 * time.Millisecond))
		var n int
		if n, err = client.Read(b); err == nil {
			if n != size {
				return errors.New("came back short")
			}
			return nil
		}
	}
	return err
}

// dropped is how often a Pod's frames were dropped for a reason.
func (p *pod) dropped(reason trunk.Reason) uint64 {
	p.Helper()
	all, err := p.sw.Drops()
	p.must(err)
	for _, d := range all {
		if d.Port == p.port.Index && d.Reason == reason {
			if d.VLAN != p.port.VLAN || d.Trunk != p.trunk.Index {
				p.Errorf("counted for VLAN %d of %d", d.VLAN, d.Trunk)
			}
			return d.Frames
		}
	}
	return 0
}
