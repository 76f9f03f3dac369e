package controller

import (
	"fmt"
	"time"
)

// ownerID is a node as blocks and addresses name it. The UID is the identity:
// a node that was created again under its name is another node.
type ownerID struct{ Name, UID string }

// evidence is what was read live, past every cache, about one lost node.
type evidence struct {
	// NodeUID is the UID of the Node of that name now, "" if there is none.
	NodeUID string
	// OutOfService: that Node is the lost one, and somebody vouches that it is
	// down.
	OutOfService bool
	// Running is a block whose owner proved that it still runs.
	Running string
	// Pods name the Pods that still count for the lost node.
	Pods []string
}

// gone tells whether the evidence says that nothing of the node is left, and
// if not, why.
func (e evidence) gone(o ownerID) (bool, string) {
	switch {
	case e.Running != "":
		return false, "its agent still runs and uses block " + e.Running
	case e.NodeUID == o.UID && !e.OutOfService:
		return false, "its Node exists"
	case len(e.Pods) > 0:
		return false, fmt.Sprintf("%d Pods are still bound to it, such as %s", len(e.Pods), e.Pods[0])
	}
	return true, ""
}

// how says in which way the node is lost.
func (e evidence) how() string {
	if e.OutOfService {
		return "out of service"
	}
	return "gone"
}

// graveyard remembers since when each lost node is known to be gone. Time is
// the controller's own monotonic clock; after a restart, or a change of leader,
// it begins anew. No clock of another machine counts.
type graveyard struct {
	quarantine time.Duration
	since      map[ownerID]time.Time
}

func newGraveyard(quarantine time.Duration) *graveyard {
	return &graveyard{quarantine: quarantine, since: map[ownerID]time.Time{}}
}

// look notes the evidence about one owner and tells whether its objects may be
// released: gone at every look for a whole quarantine, this one included.
func (g *graveyard) look(o ownerID, e evidence, now time.Time) (release bool, why string) {
	if ok, why := e.gone(o); !ok {
		delete(g.since, o)
		return false, why
	}
	first, known := g.since[o]
	if !known {
		g.since[o] = now
		first = now
	}
	if left := g.quarantine - now.Sub(first); left > 0 {
		return false, fmt.Sprintf("gone; quarantine ends in %s", left.Round(time.Second))
	}
	return true, ""
}

// keep forgets owners that are not among those who own something.
func (g *graveyard) keep(owners map[ownerID]bool) {
	for o := range g.since {
		if !owners[o] {
			delete(g.since, o)
		}
	}
}
