package viptest

import (
	"testing"
	"time"
)

func TestBoth(t *testing.T) {
	ms := time.Millisecond
	row := func(mac string, from, to time.Duration) (all []Claim) {
		for at := from; at <= to; at += 5 * ms {
			all = append(all, Claim{at, mac})
		}
		return all
	}
	for what, c := range map[string]struct {
		claims [][]Claim
		want   time.Duration
	}{
		"one after the other":  {[][]Claim{row("a", 0, 100*ms), row("b", 105*ms, 200*ms)}, 0},
		"and back":             {[][]Claim{row("a", 0, 100*ms), row("b", 105*ms, 400*ms), row("a", 405*ms, 500*ms)}, 0},
		"over each other":      {[][]Claim{row("a", 0, 100*ms), row("b", 50*ms, 200*ms)}, 50 * ms},
		"one within the other": {[][]Claim{row("a", 0, 300*ms), row("b", 100*ms, 120*ms)}, 20 * ms},
	} {
		var all []Claim
		for _, r := range c.claims {
			all = append(all, r...)
		}
		for i := range all { // in order of time
			for j := range all[:i] {
				if all[i].At < all[j].At {
					all[i], all[j] = all[j], all[i]
				}
			}
		}
		if got := both(all); got != c.want {
			t.Errorf("%s: %s, want %s", what, got, c.want)
		}
	}
}

// What the kernel takes from all is no gap of anybody's.
func TestGapWithoutStalls(t *testing.T) {
	ms := time.Millisecond
	w := &Watch{sent: []time.Duration{0, 10 * ms, 500 * ms, 510 * ms, 900 * ms}, heard: []bool{true, false, true, false, true}}
	if got, at := w.GapAt(0); got != 500*ms || at != 0 {
		t.Errorf("%s at %s, want 500ms at the beginning", got, at)
	}
	w.stalls = []stall{{100 * ms, 350 * ms}, {490 * ms, 520 * ms}}
	if got, at := w.GapAt(0); got != 380*ms || at != 500*ms {
		t.Errorf("%s at %s, want 380ms at 500ms", got, at)
	}
}
