package kind

import (
	"context"
	"maps"
	"slices"
	"testing"

	"github.com/tsunagu-net/tsunagu/kernel/link"
)

// Some interfaces of a Pod are taken away, and later others made, while the rest of it is not touched.
func TestDetachLeavesTheOthers(t *testing.T) {
	w := newWorld(t)
	p := w.pod()
	macvlan, bridge, ptp := w.spec("macvlan", `{"master":"up1"}`), w.spec("bridge", `{"bridge":"br-x"}`), w.spec("ptp", `{}`)
	all := w.wire(p, w.attach(p, "eth0", w.spec("pod", `{}`), "10.244.0.2/24"),
		w.attach(p, "net1", macvlan, "192.168.10.1/24"), w.attach(p, "net2", bridge, "10.8.0.2/24"), w.attach(p, "net3", ptp, "10.9.0.2/24 via 10.9.0.1"))
	index := func() map[string]int {
		have := map[string]int{}
		links, err := w.dial(p).Links()
		w.must(err)
		for _, l := range links {
			if l.Name != "lo" {
				have[l.Name] = l.Index
			}
		}
		return have
	}
	before := index()
	ctx := context.Background()
	for i, gone := range [][]string{{"net1"}, {"net1", "net2"}, {"net1", "net2", "net3"}} {
		w.must(w.wirer.Detach(ctx, p.Path(), []Record{all[i+1]}))
		w.must(w.wirer.Detach(ctx, p.Path(), []Record{{ContainerID: all[0].ContainerID, IfName: gone[i]}})) // again is fine
		want := maps.Clone(before)
		for _, name := range gone {
			delete(want, name)
		}
		if got := index(); !maps.Equal(got, want) {
			t.Fatalf("without %v the Pod has %v, want %v", gone, got, want)
		}
		w.must(w.wirer.Check(ctx, p.Path(), append(all[:1:1], all[i+2:]...)))
	}
	if left := w.links(w.node); slices.Contains(left, "br-x") || len(left) != 3 {
		t.Errorf("left on the node: %v", left)
	}
	again := w.attach(p, "net1", macvlan, "192.168.10.9/24")
	again.Routes = []Route{{Dst: defaults[0], Gateway: again.Addresses[0].Prefix.Addr().Next()}}
	again.Leave = append(again.Leave, defaults[0])
	made := w.wire(p, again)
	if len(made[0].Routes) > 0 || len(made[0].Warnings) == 0 {
		t.Errorf("the new interface has routes %v, warnings %q", made[0].Routes, made[0].Warnings)
	}
	w.reaches(p, w.outside[0], "192.168.10.254")
	w.must(w.wirer.Check(ctx, p.Path(), []Record{all[0], made[0]}))

	// An interface that the Pod has renamed is found by what it is.
	c := w.dial(p)
	l, err := c.ByName("net1")
	w.must(err)
	no, yes := false, true
	w.must(c.Apply(link.Set(link.Change{Device: "net1", Index: l.Index, Up: &no}), link.Set(link.Change{Device: "net1", Index: l.Index, Name: "mine", Up: &yes})))
	w.must(w.wirer.Detach(ctx, p.Path(), made))
	if got := index(); len(got) != 1 {
		t.Errorf("the Pod has %v", got)
	}
	w.unwire(p, all)
}
