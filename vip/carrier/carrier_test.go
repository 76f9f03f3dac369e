package carrier

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/tsunagu-net/tsunagu/kernel/link"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func TestLeftover(t *testing.T) {
	owned := []netip.Addr{addr("10.0.0.100")}
	at := func(p string) []link.Address {
		return []link.Address{{Index: 2, Prefix: netip.MustParsePrefix(p)}, {Index: 2, Prefix: netip.MustParsePrefix("10.0.0.5/24")}}
	}
	names := map[int]string{2: "eth0"}
	if gone, err := leftover(at("10.0.0.100/32"), owned, names); err != nil || len(gone) != 1 {
		t.Errorf("what kube-vip left: %v, %v", gone, err)
	}
	if _, err := leftover(at("10.0.0.100/24"), owned, names); err == nil || !strings.Contains(err.Error(), "own on eth0") {
		t.Errorf("the node's own address: %v", err)
	}
}
