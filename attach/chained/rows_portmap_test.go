package chained

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/tsunagu-net/tsunagu/attach/hostport"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// mapping is a port of the node in both words.
func mapping(hostIP string, host, container int, protocol string) (hostport.Mapping, map[string]any) {
	m, err := hostport.ParseMapping(hostIP, host, container, protocol)
	if err != nil {
		panic(err)
	}
	asked := map[string]any{"hostPort": host, "containerPort": container, "protocol": protocol}
	if hostIP != "" {
		asked["hostIP"] = hostIP
	}
	return m, asked
}

// mapped is a row with ports; what is compared is who reaches them, and as whom it is seen.
func mapped(r compatRow, ports ...string) compatRow {
	var list []any
	for _, text := range ports {
		words := strings.Fields(text)
		hostIP := ""
		if len(words) == 4 {
			hostIP = words[3]
		}
		var host, container int
		fmt.Sscan(words[0], &host)
		fmt.Sscan(words[1], &container)
		m, one := mapping(hostIP, host, container, words[2])
		r.runtime.PortMappings = append(r.runtime.PortMappings, m)
		list = append(list, one)
	}
	r.Plugin, r.asked = "portmap", map[string]any{"portMappings": list}
	r.prepare, r.effect = (*world).outside, (*world).reaching
	if r.addresses == nil {
		r.addresses = []string{v4, v6}
	}
	if r.Want == "" {
		r.Want = "works"
	}
	return r
}

var portmapRows = []compatRow{
	mapped(compatRow{Option: "runtimeConfig.portMappings", Config: `{"capabilities":{"portMappings":true}}`}, "8080 80 tcp"),
	mapped(compatRow{Option: "runtimeConfig.portMappings (none)", Config: `{}`}),
	mapped(compatRow{Option: "several ports and protocols", Config: `{}`}, "8080 80 tcp", "8081 81 tcp", "8080 80 udp"),
	mapped(compatRow{Option: "hostIP", Config: `{}`}, "8080 80 tcp 192.0.2.1", "8081 81 tcp 2001:db8::1"),
	mapped(compatRow{Option: "hostIP 0.0.0.0", Config: `{}`}, "8080 80 tcp 0.0.0.0"),
	mapped(compatRow{Option: "hostIP ::", Config: `{}`}, "8080 80 tcp ::"),
	mapped(compatRow{Option: "IPv6 only", Config: `{}`, addresses: []string{v6}}, "8080 80 tcp", "8080 80 udp"),
	mapped(compatRow{Option: "snat (false)", Config: `{"snat":false}`}, "8080 80 tcp"),
	mapped(compatRow{newer: true, Option: "masqAll", Config: `{"masqAll":true}`}, "8080 80 tcp"),
	mapped(compatRow{Option: "masqAll and snat (false)", Config: `{"masqAll":true,"snat":false}`}, "8080 80 tcp"),
	mapped(compatRow{newer: true, Option: "markMasqBit", Config: `{"markMasqBit":5,"masqAll":true}`}, "8080 80 tcp"),
	mapped(compatRow{Option: "conditionsV4 and conditionsV6", Config: `{"conditionsV4":["-s","192.0.2.0/24"],"conditionsV6":["!","-d","2001:db8::/64"]}`}, "8080 80 tcp"),
	mapped(compatRow{Option: "conditionsV4 (interface)", Config: `{"conditionsV4":["!","-i","out1"]}`}, "8080 80 tcp"),
	mapped(compatRow{Option: "backend iptables", Config: `{"backend":"iptables"}`, newer: true}, "8080 80 tcp"),
	{Plugin: "portmap", Option: "backend (unknown)", Config: `{"backend":"ebpf"}`, Want: `want iptables or nftables, have "ebpf"`},
	{Plugin: "portmap", Option: "markMasqBit (out of range)", Config: `{"markMasqBit":32}`, Want: "want a number from 0 to 31, have 32"},
	{Plugin: "portmap", Option: "markMasqBit and externalSetMarkChain", Config: `{"markMasqBit":3,"externalSetMarkChain":"KUBE-MARK-MASQ"}`, Want: "cannot be with markMasqBit"},
	{Plugin: "portmap", Option: "externalSetMarkChain", Config: `{"externalSetMarkChain":"KUBE-MARK-MASQ"}`, Want: "plugin"},
	{Plugin: "portmap", Option: "conditionsV4 (others of iptables, or of nft)", Config: `{"conditionsV4":["-m","time","--timestart","08:00"]}`, Want: "plugin"},
}

// outside gives the node a neighbour outside, and the Pod one on its network.
func (w *world) outside() {
	w.Helper()
	w.out = w.namespace(fmt.Sprintf("tst-chained-out-%d-%d", w.node.ID().Ino, worlds.Add(1)))
	w.in(w.node, "ip", "link", "add", "out1", "address", "02:00:00:00:03:01", "type", "veth", "peer", "wire", "address", "02:00:00:00:03:02", "netns", w.out.Path())
	w.in(w.node, "ip", "link", "set", "out1", "up")
	w.in(w.out, "ip", "link", "set", "wire", "up")
	for _, one := range []struct {
		ns      *netns.Namespace
		address string
		device  string
	}{{w.node, "192.0.2.1/24", "out1"}, {w.out, "192.0.2.2/24", "wire"}, {w.node, "2001:db8::1/64", "out1"}, {w.out, "2001:db8::2/64", "wire"}} {
		w.in(one.ns, "ip", "addr", "add", one.address, "dev", one.device, "nodad")
	}
	w.await(w.node, "out1")
	w.await(w.out, "wire")
}

// reaching tries every way to the node's ports 8080 and 8081, and tells whether the Pod answers and whom it saw.
func (w *world) reaching() (lines []string) {
	w.Helper()
	var all sync.WaitGroup
	var mu sync.Mutex
	for _, port := range []string{"80", "81"} {
		w.serve(port)
	}
	for _, from := range []struct {
		name string
		ns   *netns.Namespace
	}{{"outside", w.out}, {"node", w.node}, {"Pod", w.pod}} {
		for _, to := range []string{"192.0.2.1", "127.0.0.1", "2001:db8::1", "10.7.0.1", "fd00:7::1"} {
			if from.name == "outside" && !strings.HasPrefix(to, "192.0.2") && !strings.HasPrefix(to, "2001:db8") || from.name == "Pod" && to == "127.0.0.1" {
				continue
			}
			for _, how := range []string{"tcp 8080", "tcp 8081", "udp 8080"} {
				all.Go(func() {
					protocol, port, _ := strings.Cut(how, " ")
					answer := w.ask(from.ns, protocol, net.JoinHostPort(to, port))
					mu.Lock()
					defer mu.Unlock()
					lines = append(lines, fmt.Sprintf("%s → %s %s: %s", from.name, to, how, answer))
				})
			}
		}
	}
	all.Wait()
	return lines
}

// serve answers at a port of the Pod with the address it was asked from.
func (w *world) serve(port string) {
	w.Helper()
	w.must(w.pod.Do(func() error {
		l, err := net.Listen("tcp", ":"+port)
		if err != nil {
			return err
		}
		p, err := net.ListenPacket("udp", ":"+port)
		if err != nil {
			return err
		}
		w.Cleanup(func() { l.Close(); p.Close() })
		go func() {
			for c, err := l.Accept(); err == nil; c, err = l.Accept() {
				host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
				fmt.Fprint(c, port, " saw ", host)
				c.Close()
			}
		}()
		go func() {
			var b [16]byte
			for _, from, err := p.ReadFrom(b[:]); err == nil; _, from, err = p.ReadFrom(b[:]) {
				host, _, _ := net.SplitHostPort(from.String())
				_, _ = p.WriteTo(fmt.Append(nil, port, " saw ", host), from)
			}
		}()
		return nil
	}))
}

func (w *world) ask(ns *netns.Namespace, protocol, to string) (answer string) {
	_ = ns.Do(func() error {
		c, err := (&net.Dialer{Timeout: 700 * time.Millisecond}).Dial(protocol, netip.MustParseAddrPort(to).String())
		if err != nil {
			answer = "not reached"
			return nil
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(700 * time.Millisecond))
		if protocol == "udp" {
			_, _ = c.Write([]byte("x"))
		}
		b := make([]byte, 100)
		n, err := c.Read(b)
		if answer = string(b[:n]); err != nil {
			answer = "not answered"
		}
		return nil
	})
	return answer
}
