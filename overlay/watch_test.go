package overlay

import (
	"net/netip"
	"testing"

	"github.com/tsunagu-net/tsunagu/kernel/route"
)

func TestConcerns(t *testing.T) {
	p := netip.MustParsePrefix
	for _, c := range []struct {
		what string
		e    route.Event
		want bool
	}{
		{"lost events", route.Event{About: route.Lost}, true},
		{"our device", route.Event{About: route.OfLink, Name: Device, Gone: true}, true},
		{"the underlay", route.Event{About: route.OfLink, Name: "eth0"}, true},
		{"a Pod's interface", route.Event{About: route.OfLink, Name: "tsu0123456789a"}, false},
		{"an address", route.Event{About: route.OfAddress, Dst: p("10.244.1.1/32"), Gone: true}, true},
		{"a Pod's interface's address", route.Event{About: route.OfAddress, Dst: p("fe80::1/64")}, false},
		{"a node's route that goes", route.Event{About: route.OfRoute, Main: true, Dst: p("10.244.2.0/24"), Protocol: route.Protocol, Gone: true}, true},
		{"a route of others in its place", route.Event{About: route.OfRoute, Main: true, Dst: p("10.244.2.0/24"), Protocol: 3}, true},
		{"a route of others that goes", route.Event{About: route.OfRoute, Main: true, Dst: p("10.9.0.0/24"), Protocol: 3, Gone: true}, false},
		{"a Pod's route", route.Event{About: route.OfRoute, Main: true, Dst: p("10.244.1.5/32"), Protocol: route.Protocol}, false},
		{"a Pod's interface's route", route.Event{About: route.OfRoute, Main: true, Dst: p("fe80::/64"), Protocol: 2}, false},
		{"another table's route", route.Event{About: route.OfRoute, Dst: p("10.244.2.0/24"), Protocol: 2}, false},
	} {
		if got := concerns(c.e); got != c.want {
			t.Errorf("%s: %v", c.what, got)
		}
	}
}
