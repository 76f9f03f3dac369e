package main

import (
	"testing"
	"time"
)

// A node that owns goes on owning: neither the lease nor the life of the address on the device ends in between.
func TestOwnerGoesOn(t *testing.T) {
	x := newTrio(t, 1)
	x.start(x.Nodes[0], "--first", "yes")
	x.answered(0, nil, 5*time.Second)
	mark := x.watch.Mark()
	time.Sleep(8 * time.Second)
	gap, at := x.watch.GapAt(mark)
	t.Logf("the longest time without an answer was %s, %s after the beginning", gap, at)
	if gap > 300*time.Millisecond {
		t.Errorf("no answer for %s", gap)
	}
	s, err := x.status(x.Nodes[0])
	if err != nil || !s.Owns || s.Epoch != 1 {
		t.Errorf("%+v, %v", s, err)
	}
}
