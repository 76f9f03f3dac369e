package overlay

import (
	"net/netip"
	"testing"
)

func TestNodeAddress(t *testing.T) {
	for cidr, want := range map[string]string{
		"10.244.1.0/24": "10.244.1.1", "10.244.1.0/30": "10.244.1.1", "10.244.1.0/31": "", "10.244.1.7/24": "10.244.1.1",
		"fd00:1::/64": "fd00:1::1", "fd00::/126": "fd00::1", "fd00::/127": "", "fd00::/128": "",
	} {
		got, ok := NodeAddress(netip.MustParsePrefix(cidr))
		if ok != (want != "") || ok && got.String() != want {
			t.Errorf("%s: %v %v, want %q", cidr, got, ok, want)
		}
	}
}
