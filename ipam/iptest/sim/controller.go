package sim

import (
	"maps"
	"slices"
	"time"

	"github.com/tsunagu-net/tsunagu/ipam"
)

// Evidence is what a controller reads live about a node that is not in its
// cache.
type Evidence struct {
	NodeUID string // of the Node object of that name now, "" if there is none
	Pods    []string
}

// Sexton is a controller's memory of lost nodes: it says when their objects
// may be released.
type Sexton interface {
	Look(node, uid string, e Evidence, now time.Time) (release bool)
	// Keep forgets all but these (name, UID), which own something.
	Keep(owners map[[2]string]bool)
}

// Quarantine is how long a node must have been gone. A machine whose Node
// object goes stops within it, or its Pods are seen.
const Quarantine = 30 * time.Second

// grave is a model of the controller's graveyard.
type grave struct{ since map[[2]string]time.Time }

func (g *grave) Look(node, uid string, e Evidence, now time.Time) bool {
	o := [2]string{node, uid}
	if e.NodeUID == uid || len(e.Pods) > 0 {
		delete(g.since, o)
		return false
	}
	if _, known := g.since[o]; !known {
		g.since[o] = now
	}
	return now.Sub(g.since[o]) >= Quarantine
}

func (g *grave) Keep(owners map[[2]string]bool) {
	maps.DeleteFunc(g.since, func(o [2]string, _ time.Time) bool { return !owners[o] })
}

// control is one controller. There are two, because leader election is no
// fence; neither knows of the other.
func (w *World) control(name string, finished <-chan struct{}) {
	sexton := w.Sexton()
	for {
		select {
		case <-finished:
			return
		case <-time.After(5*time.Second + w.pause(10*time.Second, "controller", name)):
		}
		w.bury(sexton, name)
		w.retire(name)
	}
}

// bury is a model of the controller's sweep: a cache that lags says who is
// lost, live reads say whether it is so.
func (w *World) bury(sexton Sexton, name string) {
	w.mu.Lock()
	alive := maps.Clone(w.nodes)
	w.mu.Unlock()
	known := slices.Collect(maps.Values(alive))
	_, blocks, addresses := w.Store.Objects()
	time.Sleep(w.pause(2*time.Second, "cache", name))
	lost, owners := map[[2]string][]ipam.Meta{}, map[[2]string]bool{}
	add := func(node, uid string, m ipam.Meta) {
		if o := [2]string{node, uid}; uid != "" && !slices.Contains(known, uid) {
			lost[o], owners[o] = append(lost[o], m), true
		}
	}
	for _, b := range blocks {
		add(b.Node, b.NodeUID, b.Meta)
	}
	for _, x := range addresses {
		add(x.Node, x.NodeUID, x.Meta)
	}
	for _, o := range slices.SortedFunc(maps.Keys(owners), func(x, y [2]string) int { return slices.Compare(x[:], y[:]) }) {
		now := time.Now()
		if w.WallClock {
			now = now.Add(time.Duration(w.under(7200, "wall", name)-3600) * time.Second)
		}
		e := w.evidence(o[0], o[1])
		if release := sexton.Look(o[0], o[1], e, now); !release && !(w.NoQuarantine && len(e.Pods) == 0 && e.NodeUID != o[1]) {
			continue
		}
		for _, m := range lost[o] {
			time.Sleep(w.pause(50*time.Millisecond, "release", name, m.Name))
			w.count("released")
			if w.HastyDelete {
				m = w.latest(m)
			}
			w.Store.Release(m)
		}
	}
	sexton.Keep(owners)
}

func (w *World) evidence(node, uid string) (e Evidence) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e.NodeUID = w.nodes[node]
	for id, on := range w.pods {
		if on == uid && !w.NoEvidence {
			e.Pods = append(e.Pods, id)
		}
	}
	return e
}

// latest is what has an object's name now.
func (w *World) latest(m ipam.Meta) ipam.Meta {
	time.Sleep(w.pause(15*time.Second, "hasty", m.Name))
	_, blocks, addresses := w.Store.Objects()
	for _, b := range blocks {
		if b.Name == m.Name {
			return b.Meta
		}
	}
	for _, x := range addresses {
		if x.Name == m.Name {
			return x.Meta
		}
	}
	return m
}

// retire is a model of what the controller does about a region without blocks:
// it is marked, looked at again, and goes. It is in a hurry here.
func (w *World) retire(name string) {
	regions, blocks, _ := w.Store.Objects() // the cache
	for _, r := range regions {
		rest := 4
		if w.Unsettled {
			rest = 1
		}
		if w.under(rest, "retire", name, r.Name) > 0 || !r.Draining && !w.NoDrainCheck && hasBlock(r, blocks) {
			continue
		}
		time.Sleep(w.pause(200*time.Millisecond, "cache", name, r.Name))
		ok := true
		if !r.Draining {
			if r, ok = w.Store.Mark(r, true); !ok {
				continue
			}
		}
		time.Sleep(w.pause(20*time.Millisecond, "drain", name))
		_, live, _ := w.Store.Objects()
		time.Sleep(w.pause(20*time.Millisecond, "drained", name))
		if hasBlock(r, live) && !w.NoDrainCheck {
			w.Store.Mark(r, false)
			continue
		}
		w.count("region dropped")
		w.Store.Retire(r)
	}
}

func hasBlock(r ipam.Region, blocks []ipam.Block) bool {
	return slices.ContainsFunc(blocks, func(b ipam.Block) bool { return b.Domain == r.Domain && r.Prefix.Contains(b.Prefix.Addr()) })
}
