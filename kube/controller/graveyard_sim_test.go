package controller

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tsunagu-net/tsunagu/ipam/iptest/sim"
)

// sexton lets the simulation's two controllers bury by the real graveyard.
type sexton struct{ *graveyard }

func (s sexton) Look(node, uid string, e sim.Evidence, now time.Time) bool {
	release, _ := s.look(ownerID{node, uid}, evidence{NodeUID: e.NodeUID, Pods: e.Pods}, now)
	return release
}

func (s sexton) Keep(owners map[[2]string]bool) {
	known := map[ownerID]bool{}
	for o := range owners {
		known[ownerID{o[0], o[1]}] = true
	}
	s.keep(known)
}

// P17: two controllers that know nothing of each other bury nodes that are cut
// off, replaced and registered anew, and nobody's address is ever another's.
func TestP17TwoControllersAndNodesThatAreCutOff(t *testing.T) {
	released := 0
	for seed := range 60 {
		synctest.Test(t, func(t *testing.T) {
			r := sim.Run(sim.Config{Seed: uint64(seed), Lossy: true, Sexton: func() sim.Sexton { return sexton{newGraveyard(sim.Quarantine)} }})
			for _, what := range append(r.Leaks, fmt.Sprint(r.Duplicates)) {
				if what != "[]" {
					t.Errorf("seed %d: %s", seed, what)
				}
			}
			released += r.Counts["released"]
		})
	}
	if released < 100 {
		t.Errorf("only %d objects were released", released)
	}
}
