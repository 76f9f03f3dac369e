package route_test

import (
	"context"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/kernel/netns"
	"github.com/tsunagu-net/tsunagu/kernel/route"
)

func namespace(t testing.TB, name string) *netns.Namespace {
	t.Helper()
	name = "tst-route-" + name
	if err := netns.Delete(name); err != nil {
		t.Fatal(err)
	}
	n, err := netns.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		n.Close()
		if err := netns.Delete(name); err != nil {
			t.Error(err)
		}
	})
	return n
}

func dial(t testing.TB, n *netns.Namespace) *route.Conn {
	t.Helper()
	c, err := route.Dial(n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// sh runs a command in a namespace, as an administrator would.
func sh(t testing.TB, ns, command string) string {
	t.Helper()
	out, err := exec.Command("ip", "netns", "exec", "tst-route-"+ns, "sh", "-c", command).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", command, err, out)
	}
	return strings.TrimSpace(string(out))
}

var device = route.VXLAN{Name: "tst-vx", Port: 4790, MTU: 1464, Group: 7}

func TestDevice(t *testing.T) {
	c := dial(t, namespace(t, "dev"))
	if _, found, err := c.Device(device); found || err != nil {
		t.Fatalf("found %v, %v in an empty namespace", found, err)
	}
	if err := c.Make(device); err != nil {
		t.Fatal(err)
	}
	d, found, err := c.Device(device)
	if err != nil || !found || !d.Fits || !d.Up || d.MTU != 1464 || d.Index == 0 {
		t.Errorf("%+v, %v, %v", d, found, err)
	}
	other := device
	other.Port = 8472
	if d, _, _ := c.Device(other); d.Fits {
		t.Error("fits another port")
	}
	if out := sh(t, "dev", "ip -d link show tst-vx"); !strings.Contains(out, "external") || !strings.Contains(out, "gpe") || !strings.Contains(out, "dstport 4790") {
		t.Error(out)
	}
	if out := sh(t, "dev", "ip addr show dev tst-vx"); strings.Contains(out, "fe80") {
		t.Errorf("has a link-local address: %s", out)
	}
	sh(t, "dev", "ip link del tst-vx; ip link add tst-vx type vxlan id 5 dstport 4790 dev lo")
	if d, found, err := c.Device(device); !found || d.Fits || err != nil {
		t.Errorf("a common VXLAN: %+v, %v, %v", d, found, err)
	}
}

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }
func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }

// What is listed is what was made, for all that the overlay makes.
func TestListedAsMade(t *testing.T) {
	c := dial(t, namespace(t, "list"))
	sh(t, "list", `ip link add eth0 type veth peer name far; ip link set eth0 up; ip link set far up
		ip addr add 192.168.7.1/24 dev eth0; ip addr add fd07::1/64 dev eth0 nodad`)
	if err := c.Make(device); err != nil {
		t.Fatal(err)
	}
	sh(t, "list", "ip addr add 10.1.1.1/32 dev tst-vx; ip addr add fd00:1::1/128 dev tst-vx nodad")
	d, _, err := c.Device(device)
	if err != nil {
		t.Fatal(err)
	}
	eth, _, err := c.Device(route.VXLAN{Name: "eth0"})
	if err != nil {
		t.Fatal(err)
	}
	over4 := route.Tunnel{VNI: 70000, Local: addr("192.168.7.1"), Remote: addr("192.168.7.2")}
	over6 := route.Tunnel{VNI: 1, Local: addr("fd07::1"), Remote: addr("fd07::2")}
	made := []route.Route{
		{Dst: prefix("10.1.2.0/24"), Kind: route.Unicast, Device: d.Index, Source: addr("10.1.1.1"), Tunnel: over4},
		{Dst: prefix("10.1.3.0/24"), Kind: route.Unicast, Device: d.Index, Source: addr("10.1.1.1"), Tunnel: over6, MTU: 1444},
		{Dst: prefix("fd00:2::/64"), Kind: route.Unicast, Device: d.Index, Source: addr("fd00:1::1"), Tunnel: over4},
		{Dst: prefix("fd00:3::/64"), Kind: route.Unicast, Device: d.Index, Source: addr("fd00:1::1"), Tunnel: over6, MTU: 1444},
		{Dst: prefix("10.1.4.0/24"), Kind: route.Unicast, Device: eth.Index, Gateway: addr("192.168.7.4"), Source: addr("10.1.1.1")},
		{Dst: prefix("10.1.5.0/24"), Kind: route.Unicast, Device: eth.Index, Gateway: addr("fd07::5")},
		{Dst: prefix("fd00:4::/64"), Kind: route.Unicast, Device: eth.Index, Gateway: addr("fd07::4"), Source: addr("fd00:1::1")},
		{Dst: prefix("10.1.1.0/24"), Kind: route.Unreachable},
		{Dst: prefix("fd00:1::/64"), Kind: route.Unreachable},
		{Dst: prefix("10.1.7.0/24"), Kind: route.Unreachable, Priority: 1 << 30},
		{Dst: prefix("fd00:7::/64"), Kind: route.Unreachable, Priority: 1 << 30},
	}
	check := func(want []route.Route) {
		t.Helper()
		got, err := c.List()
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range want {
			if !slices.Contains(got, r) {
				t.Errorf("not listed: %+v", r)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%d routes listed, want %d: %v", len(got), len(want), got)
		}
	}
	for _, r := range made {
		if err := c.Replace(r); err != nil {
			t.Fatal(err)
		}
		if err := c.Replace(r); err != nil {
			t.Errorf("again: %v", err)
		}
	}
	check(made)
	// From tunnel to direct and back, by one message each.
	there, back := made[0], made[0]
	there.Tunnel, there.Device, there.Gateway = route.Tunnel{}, eth.Index, addr("192.168.7.2")
	there6, back6 := made[2], made[2]
	there6.Tunnel, there6.Device, there6.Gateway = route.Tunnel{}, eth.Index, addr("fd07::2")
	for i, r := range []route.Route{there, back, there6, back6} {
		if err := c.Replace(r); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			check(append([]route.Route{there}, made[1:]...))
		}
	}
	check(made)
	// A route of ours with something of somebody else's in it is none that was wanted.
	sh(t, "list", "ip route replace 10.1.2.0/24 proto 84 encap ip id 70000 src 192.168.7.1 dst 192.168.7.2 ttl 3 dev tst-vx src 10.1.1.1")
	got, _ := c.List()
	if slices.Contains(got, made[0]) {
		t.Error("a foreign TTL was not noticed")
	}
	for _, r := range made {
		if err := c.Delete(r); err != nil {
			t.Error(err)
		}
		if err := c.Delete(r); err != nil {
			t.Errorf("again: %v", err)
		}
	}
	check(nil)
}

func TestMonitor(t *testing.T) {
	ns := namespace(t, "mon")
	c := dial(t, ns)
	m, err := route.NewMonitor(ns)
	if err != nil {
		t.Fatal(err)
	}
	events := make(chan route.Event, 100)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- m.Run(ctx, func(e route.Event) { events <- e }) }()
	expect := func(what string, match func(route.Event) bool) {
		t.Helper()
		for {
			select {
			case e := <-events:
				if match(e) {
					return
				}
			case <-time.After(5 * time.Second):
				t.Fatalf("nothing told of %s", what)
			}
		}
	}
	if err := c.Make(device); err != nil {
		t.Fatal(err)
	}
	expect("the device", func(e route.Event) bool {
		return e.About == route.OfLink && e.Name == "tst-vx" && !e.Gone
	})
	sh(t, "mon", "ip addr add 10.1.1.1/24 dev tst-vx")
	expect("the address", func(e route.Event) bool {
		return e.About == route.OfAddress && e.Dst == prefix("10.1.1.1/24") && e.Link != 0
	})
	if err := c.Replace(route.Route{Dst: prefix("10.9.0.0/16"), Kind: route.Unreachable}); err != nil {
		t.Fatal(err)
	}
	expect("our route", func(e route.Event) bool {
		return e.About == route.OfRoute && e.Dst == prefix("10.9.0.0/16") && e.Main && e.Protocol == route.Protocol && e.Port == c.Port()
	})
	sh(t, "mon", "ip route flush proto 84")
	expect("the flush", func(e route.Event) bool {
		return e.About == route.OfRoute && e.Dst == prefix("10.9.0.0/16") && e.Gone && e.Port != c.Port()
	})
	sh(t, "mon", "ip link del tst-vx")
	expect("the end of the device", func(e route.Event) bool { return e.About == route.OfLink && e.Name == "tst-vx" && e.Gone })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestSysctls(t *testing.T) {
	s := route.SysctlsOf(namespace(t, "sys"))
	got, err := s.Read("ipv4/ip_forward", "ipv4/nonsense")
	if err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	for _, v := range []string{"1", "0", "1"} {
		if err := s.Write("ipv4/ip_forward", v); err != nil {
			t.Fatal(err)
		}
		if got, _ := s.Read("ipv4/ip_forward"); got["ipv4/ip_forward"] != v {
			t.Errorf("%v after writing %s", got, v)
		}
	}
	if names, err := s.Interfaces("ipv4"); err != nil || !slices.Contains(names, "lo") {
		t.Error(names, err)
	}
	if err := s.Write("ipv4/conf/none0/rp_filter", "0"); err == nil {
		t.Error("no error for an interface that is not there")
	}
}
