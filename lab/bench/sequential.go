package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Sequential are the figures of one Pod at a time.
type Sequential struct {
	Pairs    int                `json:"pairs"`
	GapMS    float64            `json:"gapms"`
	Add      map[string]Summary `json:"add"` // by contender
	Del      map[string]Summary `json:"del"`
	AddRatio Ratio              `json:"addRatio"`
	DelRatio Ratio              `json:"delRatio"`
	Requests Requests           `json:"requests"`
	Alone    *Alone             `json:"alone,omitempty"`
	Stages   []Stage            `json:"stages,omitempty"`
}

// Ratio is ours over the peer's.
type Ratio struct {
	P50    float64 `json:"p50"`    // of the medians
	P99    float64 `json:"p99"`    // of the 99th percentiles
	Paired float64 `json:"paired"` // the median of the ratios of each pair
}

func ratio(ours, peer Sample) Ratio {
	pairs := make([]float64, 0, len(ours))
	for i := range min(len(ours), len(peer)) {
		pairs = append(pairs, float64(ours[i])/float64(peer[i]))
	}
	return Ratio{
		P50:    float64(ours.Quantile(.5)) / float64(max(peer.Quantile(.5), 1)),
		P99:    float64(ours.Quantile(.99)) / float64(max(peer.Quantile(.99), 1)),
		Paired: median(pairs),
	}
}

// turns are the pairs between two clean-ups of namespaces.
const turns = 20

// sequential attaches and detaches one Pod with one contender, then with the other, and so on. Who begins alternates. Making and
// removing namespaces is not timed, and all results are looked at.
func (w *World) sequential(ctx context.Context, sides []*Contender, pairs int, gap time.Duration) (map[string]Sample, map[string]Sample, error) {
	add, del := map[string]Sample{}, map[string]Sample{}
	var used []Sandbox
	defer func() {
		for _, s := range used {
			_ = s.remove()
		}
	}()
	for i := range pairs {
		if err := ctx.Err(); err != nil {
			return add, del, err
		}
		order := inTurn(sides, i)
		boxes := map[*Contender]Sandbox{}
		for _, c := range order {
			pods := w.pods
			if c.pods != nil {
				pods = c.pods
			}
			s, err := newSandbox(pods[i%len(pods)])
			if err != nil {
				return add, del, err
			}
			boxes[c] = s
			used = append(used, s)
		}
		time.Sleep(gap)
		for _, c := range order {
			t, err := timed(gap, func() error { return c.Add(ctx, boxes[c]) })
			if err == nil {
				_, err = boxes[c].attached(c.interfaces...)
			}
			if err != nil {
				return add, del, fmt.Errorf("pair %d: %w", i, errors.Join(err, c.Del(ctx, boxes[c])))
			}
			add[c.Name] = append(add[c.Name], t)
		}
		for _, c := range order {
			t, err := timed(gap, func() error { return c.Del(ctx, boxes[c]) })
			if err == nil {
				err = boxes[c].detached()
			}
			if err != nil {
				return add, del, fmt.Errorf("pair %d: %w", i, err)
			}
			del[c.Name] = append(del[c.Name], t)
		}
		if len(used) >= 2*turns {
			for _, s := range used {
				if err := s.remove(); err != nil {
					return add, del, err
				}
			}
			settle(len(used))
			used = used[:0]
			w.say("  %d of %d pairs", i+1, pairs)
		}
	}
	return add, del, nil
}

// timed measures f and then waits a little.
func timed(gap time.Duration, f func() error) (time.Duration, error) {
	begin := time.Now()
	err := f()
	t := time.Since(begin)
	time.Sleep(gap)
	return t, err
}

// Sequential measures ADD and DEL one at a time.
func (w *World) Sequential(ctx context.Context, o Options) (*Sequential, error) {
	w.say("one Pod at a time: %d pairs", o.Pairs)
	// What is fetched, compiled or leased once is nobody's price of a Pod.
	if _, _, err := w.sequential(ctx, w.contenders, 3, o.Gap); err != nil {
		return nil, err
	}
	mark, stages := markAudit(), w.agent.stages(ctx)
	add, del, err := w.sequential(ctx, w.contenders, o.Pairs, o.Gap)
	if err != nil {
		return nil, err
	}
	time.Sleep(time.Second) // what is put off is counted too
	requests, err := mark.since()
	if err != nil {
		return nil, err
	}
	s := &Sequential{Pairs: o.Pairs, GapMS: milliseconds(o.Gap), Add: map[string]Summary{}, Del: map[string]Summary{}, Requests: requests,
		Stages: since(w.agent.stages(ctx), stages), AddRatio: ratio(add[Ours], add[Peer]), DelRatio: ratio(del[Ours], del[Peer])}
	for _, c := range w.contenders {
		s.Add[c.Name], s.Del[c.Name] = add[c.Name].Summary(), del[c.Name].Summary()
	}
	if w.agent != nil {
		w.say("  our side while the API server stands still")
		s.Alone, err = w.alone(ctx, o)
	}
	return s, err
}

// Alone are the figures of our side while the API server stands still: what must be asked or written there before an answer shows.
type Alone struct {
	Add   Summary `json:"add"`
	Del   Summary `json:"del"`
	Error string  `json:"error,omitempty"`
}

func (w *World) alone(ctx context.Context, o Options) (*Alone, error) {
	server := w.api.server.cmd.Process
	if err := server.Signal(unix.SIGSTOP); err != nil {
		return nil, err
	}
	add, del, err := w.sequential(ctx, []*Contender{w.contender(Ours)}, min(o.Pairs, turns), o.Gap)
	if err := server.Signal(unix.SIGCONT); err != nil {
		return nil, err
	}
	a := &Alone{Add: add[Ours].Summary(), Del: del[Ours].Summary()}
	if err != nil {
		a.Error = err.Error()
	}
	time.Sleep(2 * time.Second) // what has waited is written now
	return a, ctx.Err()
}
