package bench

import (
	"context"
	"fmt"
	"time"
)

// The nodes that are measured, and others that hold nothing.
const fleetName, idleName = "fleet", "idle"

// flatTurns is in how many turns nodes that hold addresses and nodes that hold none are asked: a machine that is faster for a second is so for
// both.
const flatTurns = 100

func atHeld(level int) string     { return fmt.Sprintf("ADD at %d", level) }
func besideHeld(level int) string { return fmt.Sprintf("ADD at 0, beside %d", level) }

// flat (S4): one ADD at a time while more and more addresses are held, in turns with as many nodes, in a process of their own, that hold
// none.
func flat(ctx context.Context, r *addressRound) error {
	if !r.ours() {
		return flatOfPeer(ctx, r)
	}
	pool, err := r.pool(ctx, "flat", "10.64.0.0/14")
	if err != nil {
		return err
	}
	idle, err := startFleet(r.w.programs, r.o.Work, r.w.api.kubeconfig, idleName)
	defer idle.stop()
	if err != nil {
		return err
	}
	// The same of both: a pool each, so that neither changes what the other knows.
	none := order{Do: "pool", Side: Ours, Pool: fmt.Sprintf("i%d-flat", r.serial()), CIDR: "10.64.0.0/14"}
	if _, err := idle.do(ctx, none); err != nil {
		return err
	}
	levels, probes := []int{10_000, 50_000}, 5000
	if r.quick {
		levels, probes = []int{2000}, flatTurns
	}
	have := 0
	for _, level := range levels {
		if _, err := r.untimed(ctx, order{Do: "fill", Pool: pool, Count: level - have, Flight: 50}); err != nil {
			return err
		}
		have = level
		ask := order{Do: "live", Side: Ours, Count: 8 * fleetNodes, Flight: 1}
		if err := inTurns(ctx, 1, ask, turn{idle, none.Pool, nil}, turn{r.f, pool, nil}); err != nil {
			return err // every node has a block with room then
		}
		for _, f := range []*fleet{r.f, idle} { // and has told of its counts
			if _, err := f.do(ctx, order{Do: "rest", Side: Ours, Seconds: 2}); err != nil {
				return err
			}
		}
		mark, busy := markAudit(), cpuOfAll(r.f.cmd.Process.Pid)
		held, beside := r.cell(atHeld(level)), r.cell(besideHeld(level))
		ask.Count = probes / flatTurns
		if err := inTurns(ctx, flatTurns, ask, turn{idle, none.Pool, beside}, turn{r.f, pool, held}); err != nil {
			return err
		}
		held.CPU = milliseconds(cpuOfAll(r.f.cmd.Process.Pid)-busy) / float64(max(held.OK, 1))
		time.Sleep(time.Second) // what is put off, for a second, counts too
		if held.Requests, err = mark.sinceOf(r.asked); err != nil {
			return err
		}
	}
	_, err = idle.do(ctx, order{Do: "reset", Side: Ours})
	return err
}

// turn is who is asked, for what, and the row of it.
type turn struct {
	f    *fleet
	pool string
	cell *Cell
}

// inTurns gives an order to each, many times, each as often first as last.
func inTurns(ctx context.Context, times int, q order, turns ...turn) error {
	for i := range times {
		for j := range turns {
			t := turns[(i+j)%len(turns)]
			q.Pool = t.pool
			a, err := t.f.do(ctx, q)
			if err != nil {
				return err
			}
			if t.cell != nil {
				t.cell.note("life", a)
			}
		}
	}
	return nil
}

// flatOfPeer is one ADD at a time beside pools that look as if they were filled.
func flatOfPeer(ctx context.Context, r *addressRound) error {
	levels := []int{0, 1000, 5000}
	if r.quick {
		levels = []int{0, 200}
	}
	for _, level := range levels {
		pool, err := r.pool(ctx, "flat", "10.64.0.0/14")
		if err != nil {
			return err
		}
		if _, err := r.untimed(ctx, order{Do: "fill", Pool: pool, Count: level, Flight: 50}); err != nil {
			return err
		}
		if _, err := r.measured(ctx, "ADD", order{Do: "live", Pool: pool, Count: 6, Flight: 1}); err != nil {
			return err
		}
		at := *r.cell("ADD")
		at.What = atHeld(level)
		r.renamed(r.cell("ADD"), at)
	}
	return nil
}
