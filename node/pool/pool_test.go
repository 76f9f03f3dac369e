package pool

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func empty(name string, networks ...string) Pool {
	return Pool{Name: name, Networks: networks, Max: 2, Idle: time.Minute, Still: time.Hour}
}

func running(p Pool, nodes ...Node) Pool {
	p.Nodes, p.Replicas, p.Machines, p.Ready = nodes, len(nodes), len(nodes), len(nodes)
	return p
}

func TestGrowTakesExactlyThePoolThatServes(t *testing.T) {
	busy := Node{Name: "n", Busy: true}
	arriving := empty("a", "blue")
	arriving.Replicas, arriving.Machines, arriving.Still = 1, 1, time.Minute
	slow := arriving
	slow.Still = Startup
	fresh := running(empty("a", "blue"), busy)
	fresh.Still = time.Second
	ends := running(empty("a", "blue"), busy)
	ends.Machines = 2
	demand := func(pools ...string) []Demand { return []Demand{{"team/web", pools}} }
	for _, c := range []struct {
		name    string
		pools   []Pool
		demands []Demand
		grow    []Growth
		waits   string
	}{
		{"from zero", []Pool{empty("a", "blue"), empty("b", "red")}, demand("b"), []Growth{{"b", 0, 1, []string{"team/web"}}}, ""},
		{"fewest networks", []Pool{empty("a", "blue", "red"), empty("b", "red")}, demand("a", "b"), []Growth{{"b", 0, 1, []string{"team/web"}}}, ""},
		{"fewest machines", []Pool{running(empty("a", "blue"), busy), empty("b", "blue")}, demand("a", "b"), []Growth{{"b", 0, 1, []string{"team/web"}}}, ""},
		{"one machine for many", []Pool{empty("a", "blue")}, []Demand{{"y", []string{"a"}}, {"x", []string{"a"}}}, []Growth{{"a", 0, 1, []string{"x", "y"}}}, ""},
		{"one is on its way", []Pool{arriving, empty("b", "blue")}, demand("a", "b"), nil, "brings a node: 0 of 1"},
		{"it never comes", []Pool{slow}, demand("a"), nil, "has brought no node with blue for 10m0s"},
		{"it never comes, another pool", []Pool{slow, empty("b", "blue")}, demand("a", "b"), []Growth{{"b", 0, 1, []string{"team/web"}}}, ""},
		{"just brought", []Pool{fresh}, demand("a"), nil, "has just brought a node"},
		{"a second", []Pool{running(empty("a", "blue"), busy)}, demand("a"), []Growth{{"a", 1, 2, []string{"team/web"}}}, ""},
		{"full", []Pool{running(empty("a", "blue"), busy, busy)}, demand("a"), nil, "2 of at most 2 nodes"},
		{"another one would not help", []Pool{running(empty("a", "blue"), Node{Name: "n7"})}, demand("a"), nil, "has node n7 without Pods"},
		{"gives one up", []Pool{running(empty("a", "blue"), Node{Name: "n7", Leaving: true})}, demand("a"), nil, "giving a node up"},
		{"gets smaller", []Pool{ends}, demand("a"), nil, "getting smaller"},
		{"none", []Pool{empty("a", "blue")}, demand(), nil, ""},
		{"gone", nil, demand("a"), nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			grow, waits := Grow(c.pools, c.demands)
			if diff := cmp.Diff(c.grow, grow); diff != "" || !strings.Contains(waits["team/web"], c.waits) || c.waits == "" && waits["team/web"] != "" {
				t.Errorf("%s\nwaits: %s", diff, waits["team/web"])
			}
		})
	}
}

func TestShrinkGoesStepByStep(t *testing.T) {
	old := Node{Name: "old", Unused: time.Hour}
	young := Node{Name: "young", Unused: time.Minute}
	busy := Node{Name: "busy", Busy: true, Unused: time.Hour}
	leaving := Node{Name: "old", Unused: time.Hour, Leaving: true, Closed: true}
	chosen, back := leaving, leaving
	chosen.Chosen, back.Busy = true, true
	least := running(empty("a"), old)
	least.Min = 1
	lowered := running(empty("a"), chosen)
	lowered.Replicas = 0
	grown := running(empty("a"), chosen)
	grown.Replicas = 2
	for _, c := range []struct {
		name   string
		pool   Pool
		wanted bool
		want   Step
	}{
		{"the longest unused", running(empty("a"), young, old, busy), false, Step{Close, "a", "old", 0}},
		{"not long enough", running(empty("a"), Node{Name: "n", Unused: time.Second}, busy), false, Step{}},
		{"closed by somebody", running(empty("a"), Node{Name: "n", Unused: time.Hour, Closed: true}), false, Step{}},
		{"Pods wait", running(empty("a"), old), true, Step{}},
		{"the least", least, false, Step{}},
		{"closed", running(empty("a"), leaving), false, Step{Choose, "a", "old", 0}},
		{"chosen", running(empty("a"), busy, chosen), false, Step{Lower, "a", "old", 1}},
		{"a Pod came", running(empty("a"), back), false, Step{Reopen, "a", "old", 0}},
		{"a Pod came that waits", running(empty("a"), chosen), true, Step{Reopen, "a", "old", 0}},
		{"lowered", lowered, false, Step{}},
		{"somebody made it larger", grown, false, Step{Reopen, "a", "old", 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			step, ok := Shrink(c.pool, c.wanted)
			if step != c.want || ok != (c.want != Step{}) {
				t.Errorf("%+v, want %+v", step, c.want)
			}
		})
	}
}
