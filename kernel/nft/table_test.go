package nft_test

import (
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/kernel/netns"
	"github.com/tsunagu-net/tsunagu/kernel/nft"
)

func namespace(t testing.TB, name string) *netns.Namespace {
	t.Helper()
	name = "tst-nft-" + name
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

// sh runs a command in a namespace, as an administrator would.
func sh(t testing.TB, ns, command string) string {
	t.Helper()
	out, err := exec.Command("ip", "netns", "exec", "tst-nft-"+ns, "sh", "-c", command).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", command, err, out)
	}
	return strings.TrimSpace(string(out))
}

func list(t testing.TB, ns string) string { return sh(t, ns, "nft list table inet tsunagu") }

func addr(s string) netip.Addr         { return netip.MustParseAddr(s) }
func prefix(s string) netip.Prefix     { return netip.MustParsePrefix(s) }
func addrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }
func must(t testing.TB, err error)     { t.Helper(); check(t, err == nil, "%v", err) }
func check(t testing.TB, ok bool, format string, a ...any) {
	t.Helper()
	if !ok {
		t.Fatalf(format, a...)
	}
}

func reach() nft.Contents {
	c := nft.Contents{}
	c.Node(addr("192.168.7.1"))
	c.Node(addr("192.168.7.2"))
	c.Node(addr("fd07::1"))
	c.Pods([]netip.Prefix{prefix("10.244.1.0/24"), prefix("10.244.2.0/24"), prefix("10.244.2.128/25"), prefix("fd00:1::/64"), prefix("fd00:2::/64")})
	c.Own([]netip.Prefix{prefix("10.244.1.0/24"), prefix("fd00:1::/64")})
	return c
}

func ports() nft.Contents {
	c := nft.Contents{}
	c.HostPort(addrPort("0.0.0.0:8080"), 6, addrPort("10.244.1.5:80"))
	c.HostPort(addrPort("192.168.7.1:8081"), 17, addrPort("10.244.1.5:81"))
	c.HostPort(addrPort("[::]:8080"), 6, addrPort("[fd00:1::5]:80"))
	c.HostPort(addrPort("[fd07::1]:8081"), 132, addrPort("[fd00:1::5]:81"))
	c.Hairpin(addr("10.244.1.5"))
	c.Hairpin(addr("fd00:1::5"))
	c.Hidden(prefix("172.30.0.9/16"))
	c.Hidden(prefix("fd30::9/64"))
	return c
}

// The kernel's idea of what was written, in the words of nft.
func TestWritten(t *testing.T) {
	table := nft.Open(namespace(t, "written"), nft.Options{TunnelPort: 4790})
	must(t, table.Replace(nft.ReachSets, reach()))
	must(t, table.Replace(nft.PortSets, ports()))
	text := regexp.MustCompile(`,\s+`).ReplaceAllString(list(t, "written"), ", ")
	for _, want := range []string{
		"elements = { 192.168.7.1, 192.168.7.2 }",
		"elements = { 10.244.1.0/24, 10.244.2.0/24 }",
		"elements = { fd00:1::/64, fd00:2::/64 }",
		"elements = { tcp . 8080 : 10.244.1.5 . 80 }",
		"elements = { 192.168.7.1 . udp . 8081 : 10.244.1.5 . 81 }",
		"elements = { tcp . 8080 : fd00:1::5 . 80 }",
		"elements = { fd07::1 . sctp . 8081 : fd00:1::5 . 81 }",
		"elements = { 10.244.1.5 . 10.244.1.5 }",
		"172.30.0.9 . 172.30.0.0/16",
		"fd30::9 . fd30::/64",
		"type nat hook prerouting priority dstnat; policy accept;",
		"type nat hook postrouting priority srcnat; policy accept;",
		"fib daddr type local jump hostports",
		"dnat ip to ip daddr . meta l4proto . th dport map @ports4",
		"dnat ip to meta l4proto . th dport map @any4",
		"dnat ip6 to ip6 daddr . meta l4proto . th dport map @ports6",
		"dnat ip6 to meta l4proto . th dport map @any6",
		"ip saddr @own4 ip daddr != @pods4 ip daddr != 224.0.0.0/4 ip daddr != 169.254.0.0/16 masquerade fully-random",
		"ip6 saddr @own6 ip6 daddr != @pods6 ip6 daddr != ff00::/8 ip6 daddr != fe80::/10 masquerade fully-random",
		"ct status dnat ip saddr . ip daddr @hairpin4 masquerade fully-random",
		"ip saddr @hidden4 ip saddr . ip daddr != @near4",
		`oifname "tsu-vx" ip saddr != @pods4 masquerade fully-random`,
		`oifname "tsu-vx" ip6 saddr != @pods6 masquerade fully-random`,
		"udp dport 4790 ip saddr != @nodes4 drop",
		"udp dport 4790 ip6 saddr != @nodes6 drop",
		`iifname "tsu*" ip daddr 127.0.0.0/8 drop`,
		"notrack",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing", want)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
	wrong, err := table.Repair()
	check(t, len(wrong) == 0 && err == nil, "a second look finds %v, %v", wrong, err)
	must(t, table.Replace(nft.ReachSets, nft.Contents{}))
	must(t, table.Change(nft.Contents{}, ports()))
	if text := list(t, "written"); strings.Contains(text, "elements") {
		t.Errorf("elements left: %s", text)
	}
}

// Nothing that an earlier process left is removed before all of it was told again, and rules of an earlier version are replaced.
func TestAdopts(t *testing.T) {
	ns := namespace(t, "adopt")
	before := nft.Open(ns, nft.Options{})
	must(t, before.Replace(nft.ReachSets, reach()))
	must(t, before.Replace(nft.PortSets, ports()))
	sh(t, "adopt", `nft 'add chain inet tsunagu old { type filter hook input priority 5; }; add rule inet tsunagu old counter
		add set inet tsunagu older { type ipv4_addr; }; insert rule inet tsunagu raw-prerouting counter drop'`)

	after := nft.Open(ns, nft.Options{TunnelPort: 4790})
	_, err := after.Repair()
	must(t, err)
	text := list(t, "adopt")
	for _, gone := range []string{"chain old", "set older", "counter"} {
		check(t, !strings.Contains(text, gone), "%s is still there: %s", gone, text)
	}
	for _, want := range []string{"10.244.1.5 . 80", "192.168.7.1, 192.168.7.2", "udp dport 4790"} {
		check(t, strings.Contains(text, want), "%s is gone: %s", want, text)
	}
	// One Pod comes before the others are told; it takes the port of one that went meanwhile.
	c := nft.Contents{}
	c.HostPort(addrPort("0.0.0.0:8080"), 6, addrPort("10.244.1.6:80"))
	must(t, after.Change(c, nft.Contents{}))
	text = list(t, "adopt")
	check(t, strings.Contains(text, "tcp . 8080 : 10.244.1.6 . 80 }"), "the new owner of the port is missing: %s", text)
	check(t, strings.Contains(text, "192.168.7.1 . udp . 8081"), "another port is gone: %s", text)
	must(t, after.Replace(nft.PortSets, c))
	text = list(t, "adopt")
	check(t, !strings.Contains(text, "8081") && strings.Contains(text, "10.244.1.6"), "not exactly what was told: %s", text)
}

// Whatever others do to the table, Watch tells and Repair mends.
func TestRepairs(t *testing.T) {
	ns := namespace(t, "repair")
	table := nft.Open(ns, nft.Options{TunnelPort: 4790})
	must(t, table.Replace(nft.ReachSets, reach()))
	must(t, table.Replace(nft.PortSets, ports()))
	want := list(t, "repair")

	changed, subscribed := make(chan bool, 1000), make(chan bool)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		done <- table.Watch(ctx, func() { close(subscribed) }, func() { changed <- true })
	}()
	<-subscribed
	for _, harm := range []string{
		"nft flush ruleset",
		"nft delete table inet tsunagu",
		"nft flush table inet tsunagu",
		"nft flush chain inet tsunagu snat-postrouting",
		"nft add rule inet tsunagu snat-postrouting counter",
		"nft flush set inet tsunagu pods4",
		"nft delete element inet tsunagu any4 '{ tcp . 8080 }'",
		"nft add element inet tsunagu nodes4 '{ 10.9.9.9 }'",
		"nft add chain inet tsunagu stranger",
		"nft 'delete element inet tsunagu any4 { tcp . 8080 }; add element inet tsunagu any4 { tcp . 8080 : 10.9.9.9 . 80 }'",
		"nft 'delete table inet tsunagu; add table inet tsunagu; add chain inet tsunagu snat-postrouting { type filter hook input priority 3; }; add set inet tsunagu nodes4 { type ipv6_addr; }'",
	} {
		sh(t, "repair", harm)
		select {
		case <-changed:
		case <-time.After(5 * time.Second):
			t.Errorf("%s: nothing told", harm)
		}
		wrong, err := table.Repair()
		check(t, err == nil && len(wrong) > 0, "%s: %v, %v", harm, wrong, err)
		check(t, list(t, "repair") == want, "%s: repaired %v to %s", harm, wrong, list(t, "repair"))
		time.Sleep(20 * time.Millisecond) // late events of the harm itself
		for len(changed) > 0 {
			<-changed
		}
	}
	// Our own changes are no news.
	c := nft.Contents{}
	c.HostPort(addrPort("0.0.0.0:9999"), 6, addrPort("10.244.1.6:80"))
	must(t, table.Change(c, nft.Contents{}))
	must(t, table.Change(nft.Contents{}, c))
	sh(t, "repair", "nft add table inet other; nft delete table inet other")
	time.Sleep(50 * time.Millisecond)
	check(t, len(changed) == 0, "told of our own changes, or of another table's")
	// A change that meets a damaged table mends all of it.
	sh(t, "repair", "nft delete table inet tsunagu")
	must(t, table.Change(c, nft.Contents{}))
	must(t, table.Change(nft.Contents{}, c))
	check(t, list(t, "repair") == want, "after a change: %s", list(t, "repair"))
	cancel()
	must(t, <-done)
}

func TestManyNodes(t *testing.T) {
	table := nft.Open(namespace(t, "many"), nft.Options{TunnelPort: 4790})
	const n = 5000
	nodes := func(skip int) nft.Contents {
		c := nft.Contents{}
		var pods []netip.Prefix
		for i := range n {
			if i == skip {
				continue
			}
			c.Node(addr(fmt.Sprintf("172.16.%d.%d", i/250, i%250)))
			pods = append(pods, prefix(fmt.Sprintf("10.%d.%d.0/24", i/256, i%256)), prefix(fmt.Sprintf("fd00:%x::/64", i)))
		}
		c.Pods(pods)
		return c
	}
	begin := time.Now()
	must(t, table.Replace(nft.ReachSets, nodes(-1)))
	t.Logf("%d nodes: %v", n, time.Since(begin))
	for _, i := range []int{0, 2500, n - 1, 700} {
		begin = time.Now()
		must(t, table.Replace(nft.ReachSets, nodes(i)))
		must(t, table.Replace(nft.ReachSets, nodes(-1)))
		t.Logf("one leaves and comes back: %v", time.Since(begin))
	}
	wrong, err := table.Repair()
	check(t, len(wrong) == 0 && err == nil, "%v, %v", wrong, err)
}

func TestDisjoint(t *testing.T) {
	got := nft.Disjoint([]netip.Prefix{prefix("10.2.0.0/16"), prefix("10.2.7.0/24"), prefix("10.1.0.5/24"), prefix("10.1.0.0/24"), prefix("::/0")})
	if want := "[10.1.0.0/24 10.2.0.0/16 ::/0]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
}
