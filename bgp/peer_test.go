package bgp

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestParsePeer(t *testing.T) {
	for text, want := range map[string]Peer{
		"10.0.0.1=65001":             {netip.MustParseAddrPort("10.0.0.1:179"), 65001},
		"10.0.0.1:1179=4200000001":   {netip.MustParseAddrPort("10.0.0.1:1179"), 4200000001},
		"fd00::1=64512.1":            {netip.MustParseAddrPort("[fd00::1]:179"), 64512<<16 | 1},
		"[fd00::1]:1179=1":           {netip.MustParseAddrPort("[fd00::1]:1179"), 1},
		"[fd00::1]=7":                {netip.MustParseAddrPort("[fd00::1]:179"), 7},
		"::ffff:10.0.0.1=4294967294": {netip.MustParseAddrPort("10.0.0.1:179"), 4294967294},
	} {
		if got, err := ParsePeer(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "=", "10.0.0.1", "10.0.0.1=", "10.0.0.1=0", "10.0.0.1=65535", "10.0.0.1=23456", "10.0.0.1=4294967295", "10.0.0.1=-1", "10.0.0.1=1.65536",
		"10.0.0.1=0.0", "10.0.0.1:0=1", "10.0.0.1:65536=1", "router=65001", "0.0.0.0=1", "127.0.0.1=1", "ff02::1=1", "fe80::1%eth0=1", "10.0.0.1=1=2"} {
		if p, err := ParsePeer(text); err == nil || !strings.Contains(err.Error(), `"`) {
			t.Errorf("%q: %+v, %v", text, p, err)
		}
	}
}

// What is read is written so that it is read as the same again.
func FuzzParsePeer(f *testing.F) {
	for _, s := range []string{"10.0.0.1=65001", "[fd00::1]:1179=64512.1", "::ffff:10.0.0.1=7"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePeer(text)
		if err != nil {
			return
		}
		if again, err := ParsePeer(p.String()); err != nil || again != p {
			t.Errorf("%q is %s, which is %s, %v", text, p, again, err)
		}
	})
}

func TestCheck(t *testing.T) {
	peer := func(text string) Peer {
		p, err := ParsePeer(text)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	good := Config{AS: 65000, RouterID: netip.MustParseAddr("10.0.0.11"), Peers: []Peer{peer("10.0.0.1=65001")}, Hops: 1, Hold: 9 * time.Second}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*Config){
		"no peer":               func(c *Config) { c.Peers = nil },
		"is named twice":        func(c *Config) { c.Peers = append(c.Peers, peer("10.0.0.1=2")) },
		"is no IPv4 address":    func(c *Config) { c.RouterID = netip.MustParseAddr("fd00::1") },
		"hold time 2s":          func(c *Config) { c.Hold = 2 * time.Second },
		"hold time 3.5s":        func(c *Config) { c.Hold = 3500 * time.Millisecond },
		"256 hops":              func(c *Config) { c.Hops = 256 },
		"BFD every 1ms":         func(c *Config) { c.BFD = time.Millisecond },
		"for the next router":   func(c *Config) { c.BFD, c.Hops = time.Second, 2 },
		"router ID invalid IP ": func(c *Config) { c.RouterID = netip.Addr{} },
	} {
		c := good
		if change(&c); c.Check() == nil || !strings.Contains(c.Check().Error(), want) {
			t.Errorf("want %q: %v", want, c.Check())
		}
	}
	if err := good.Reaches([]netip.Addr{netip.MustParseAddr("192.0.2.1")}); err != nil {
		t.Error(err)
	}
	if err := good.Reaches([]netip.Addr{netip.MustParseAddr("2001:db8::1")}); err == nil {
		t.Error("an IPv6 route is told to nobody, and nothing is said")
	}
}
