package bench

import (
	"slices"
	"testing"
)

// Rows of several rounds become one, whatever they were called while they were measured.
func TestRowsJoin(t *testing.T) {
	a := &Addresses{Rounds: 2}
	for range 2 {
		r := &addressRound{Addresses: a, scenario: "flat", side: Ours}
		c := r.cell("ADD")
		c.note("ADD", answer{WallMS: 100, Calls: map[string]*fleetCalls{"ADD": {OK: 3, Micros: []int64{900, 1100, 5000}, Failed: map[string]int{"PoolFull": 1}, Refuse: []int64{7000}, First: []string{"full"}}}})
		c.Requests["create ipblocks"] = 6
		c.Requests["create ipblocks → 409"] = 3
		c.Requests["update ipblocks"] = 9
		c.Requests["get ipblocks"] = 12
		at := *c
		at.What = "ADD at 0"
		r.renamed(c, at)
	}
	if len(a.Cells) != 1 {
		t.Fatalf("%d rows, want one", len(a.Cells))
	}
	c := a.cell("flat", Ours, "ADD at 0")
	if c == nil || c.OK != 6 || c.failed() != 2 || c.Latency.P50 != 1.1 || c.Latency.Max != 5 || c.Refused.Count != 2 {
		t.Fatalf("got %+v", c)
	}
	writes, telling, vain := c.writes()
	if writes != 2 || telling != 3 || vain != 1 || c.reads() != 4 {
		t.Errorf("per call %v writes, %v for counts, %v in vain, %v reads; want 2, 3, 1, 4", writes, telling, vain, c.reads())
	}
	if c.Histogram["1"] != 2 || c.Histogram["2"] != 2 || c.Histogram["8"] != 2 {
		t.Errorf("histogram %v", c.Histogram)
	}
	if !slices.Equal(c.PerSecond, []float64{30, 30}) || !slices.Equal(c.P99, []float64{5, 5}) {
		t.Errorf("rounds: %v per second, p99 %v", c.PerSecond, c.P99)
	}
}
