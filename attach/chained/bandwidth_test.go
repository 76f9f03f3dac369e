package chained

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/tsunagu-net/tsunagu/attach/kind"
)

// TestBandwidthIsChecked changes each thing that a limit is made of.
func TestBandwidthIsChecked(t *testing.T) {
	spec, err := Parse("bandwidth", []byte(`{"ingressRate":8000000,"ingressBurst":160000,"egressRate":8000000,"egressBurst":160000}`))
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, v4)
	ctx := context.Background()
	_, state := w.add(spec)
	for _, c := range []struct{ what, change string }{
		{"the limit of ingress", "tc qdisc del dev host1 root"},
		{"the way of egress", "tc qdisc del dev host1 ingress"},
		{"the limit of egress", "ip link del " + throttle(w.call)},
	} {
		w.must(w.runner.Check(ctx, w.call, spec, state))
		words := strings.Fields(c.change)
		w.in(w.node, words[0], words[1:]...)
		if m, ok := errors.AsType[kind.Mismatch](w.runner.Check(ctx, w.call, spec, state)); !ok || m.What != c.what {
			t.Errorf("after %q: %v", c.change, m)
		}
		_, state = w.add(spec) // a second time mends it
	}
	// Two interfaces of one Pod on the same network are two devices.
	other := w.call
	other.IfName = "net2"
	if throttle(other) == throttle(w.call) {
		t.Error("two interfaces would share a device")
	}
}
