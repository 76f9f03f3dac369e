package kind

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// world is a node with two uplinks, up1 and up2, each leading to a machine outside with addresses .254 and ::fe of the test networks.
type world struct {
	testing.TB
	name    string
	node    *netns.Namespace
	conn    *link.Conn
	outside [2]*netns.Namespace
	wirer   *Wirer
	pods    int
	lastPod *netns.Namespace
}

var worlds atomic.Int32

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{TB: t, name: fmt.Sprintf("tst-kind-%d-%d", os.Getpid(), worlds.Add(1))}
	w.node = w.namespace("node")
	w.conn = w.dial(w.node)
	for i := range w.outside {
		w.outside[i] = w.namespace(fmt.Sprintf("out%d", i+1))
		up := fmt.Sprintf("up%d", i+1)
		w.must(w.conn.Apply(link.NewVeth(link.End{Name: up}, link.End{Name: "wire", NS: w.outside[i]})))
		out := w.dial(w.outside[i])
		wire, err := out.ByName("wire")
		w.must(err)
		ops := []link.Op{link.Up("lo", 1), link.Up("wire", wire.Index)}
		for _, p := range []string{fmt.Sprintf("192.168.%d.254/24", 10+i), fmt.Sprintf("fd00:%d::fe/64", 10+i), fmt.Sprintf("203.0.113.%d/32", 1+i), fmt.Sprintf("2001:db8::%d/128", 1+i)} {
			ops = append(ops, link.AddAddress("wire", wire.Index, netip.MustParsePrefix(p), link.AddressOptions{}))
		}
		w.must(out.Apply(ops...))
	}
	w.must(w.conn.Apply(link.Up("lo", 1),
		link.AddAddress("lo", 1, netip.MustParsePrefix("10.244.0.1/32"), link.AddressOptions{}),
		link.AddAddress("lo", 1, netip.MustParsePrefix("fd00:244::1/128"), link.AddressOptions{})))
	var err error
	w.wirer, err = New(w.node.Path(), slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	w.must(err)
	t.Cleanup(func() { w.must(w.wirer.Close()) })
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

// pod is a sandbox without interfaces yet.
func (w *world) pod() *netns.Namespace {
	w.Helper()
	w.pods++
	w.lastPod = w.namespace(fmt.Sprintf("pod%d", w.pods))
	return w.lastPod
}

func (w *world) wire(pod *netns.Namespace, as ...Attachment) []Wired {
	w.Helper()
	wired, err := w.wirer.Wire(context.Background(), pod.Path(), as)
	w.must(err)
	return wired
}

func (w *world) unwire(pod *netns.Namespace, records []Record) {
	w.Helper()
	w.must(w.wirer.Unwire(context.Background(), pod.Path(), records))
}

// spec parses a plugin configuration that must be right.
func (w *world) spec(typ, config string) Spec {
	w.Helper()
	s, err := Parse(typ, []byte(config))
	w.must(err)
	return s
}

// attach is an attachment of a Pod that is known by its namespace.
func (w *world) attach(pod *netns.Namespace, ifName string, s Spec, addresses ...string) Attachment {
	w.Helper()
	a := Attachment{ContainerID: pod.Path(), IfName: ifName, Network: "default/net", Spec: s}
	for _, text := range addresses {
		prefix, gateway, _ := strings.Cut(text, " via ")
		address := Address{Prefix: netip.MustParsePrefix(prefix)}
		if gateway != "" {
			address.Gateway = netip.MustParseAddr(gateway)
		}
		a.Addresses = append(a.Addresses, address)
	}
	if s.WantsDefault() {
		a.DefaultRoute = s.DefaultGateways(a.Addresses)
	}
	return a
}

// reaches sends a datagram from one namespace to an address of another and back, and returns the source address that arrived.
func (w *world) reaches(from, to *netns.Namespace, address string) netip.Addr {
	w.Helper()
	source, err := exchange(from, to, address)
	if err != nil {
		w.Fatalf("%s does not reach %s: %v", from.Path(), address, err)
	}
	return source
}

func exchange(from, to *netns.Namespace, address string) (source netip.Addr, err error) {
	ip := netip.MustParseAddr(address)
	var server, client *net.UDPConn
	if err := to.Do(func() (err error) {
		server, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, 0)))
		return err
	}); err != nil {
		return source, err
	}
	defer server.Close()
	go func() {
		var b [64]byte
		for {
			n, peer, err := server.ReadFromUDPAddrPort(b[:])
			if err != nil {
				return
			}
			server.WriteToUDPAddrPort([]byte(peer.Addr().String()), peer)
			_ = n
		}
	}()
	if err := from.Do(func() (err error) {
		client, err = net.DialUDP("udp", nil, server.LocalAddr().(*net.UDPAddr))
		return err
	}); err != nil {
		return source, err
	}
	defer client.Close()
	var b [64]byte
	for range 3 {
		if _, err = client.Write([]byte("hello")); err != nil {
			return source, err
		}
		client.SetReadDeadline(time.Now().Add(time.Second))
		var n int
		if n, err = client.Read(b[:]); err == nil {
			return netip.MustParseAddr(string(b[:n])), nil
		}
	}
	return source, err
}

// links are the names of a namespace's interfaces but lo.
func (w *world) links(n *netns.Namespace) []string {
	w.Helper()
	c := w.dial(n)
	all, err := c.Links()
	w.must(err)
	var names []string
	for _, l := range all {
		if !l.Loopback && !strings.HasPrefix(l.Name, "ifb") && l.Kind != "sit" && l.Kind != "ipip" {
			names = append(names, l.Name)
		}
	}
	return names
}
