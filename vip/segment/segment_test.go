package segment

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func TestLocate(t *testing.T) {
	subnets := map[string][]netip.Prefix{
		"eth0": {netip.MustParsePrefix("192.168.0.5/24"), netip.MustParsePrefix("fe80::1/64")},
		"eth1": {netip.MustParsePrefix("10.0.0.5/24"), netip.MustParsePrefix("fd00::5/64")},
		"tun0": {netip.MustParsePrefix("10.0.0.100/32")},
	}
	names := []string{"tun0", "eth0", "eth1"}
	for what, c := range map[string]struct {
		device string
		want   []netip.Addr
		on     string
		own    string
		out    int
		err    string
	}{
		"by the subnet":        {"", []netip.Addr{addr("10.0.0.100"), addr("fd00::100")}, "eth1", "10.0.0.5", 0, ""},
		"IPv6 first":           {"", []netip.Addr{addr("fd00::100"), addr("10.0.0.100")}, "eth1", "fd00::5", 0, ""},
		"outside, no name":     {"", []netip.Addr{addr("172.16.0.1")}, "", "", 0, "--interface"},
		"outside, named":       {"eth0", []netip.Addr{addr("172.16.0.1")}, "eth0", "192.168.0.5", 1, ""},
		"link-local is no own": {"eth0", []netip.Addr{addr("fd01::1")}, "eth0", "", 1, ""},
		"no such interface":    {"eth7", []netip.Addr{addr("10.0.0.100")}, "", "", 0, "not on this node"},
	} {
		p, err := locate(c.device, c.want, names, subnets)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v, want %q", what, err, c.err)
			}
			continue
		}
		own := ""
		if p.Own.IsValid() {
			own = p.Own.String()
		}
		if err != nil || p.Interface != c.on || own != c.own || len(p.Outside) != c.out {
			t.Errorf("%s: %+v, %v", what, p, err)
		}
	}
}

// The announcements come in a burst, and then every half minute.
func TestBursts(t *testing.T) {
	var last time.Duration
	for n := range 10 {
		next := nextBurst(n)
		if n > 0 && next <= last || n >= len(bursts) && next-last != refrain {
			t.Errorf("announcement %d comes after %s, the one before after %s", n, next, last)
		}
		last = next
	}
}
