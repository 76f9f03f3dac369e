package bench

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Burst are the figures of many Pods at once.
type Burst struct {
	Rounds   int                   `json:"rounds"`
	Pods     int                   `json:"pods"`
	Flight   int                   `json:"flight"`
	Sides    map[string]*BurstSide `json:"sides"`
	Ratio    map[string]float64    `json:"ratio"` // of throughput, medians of the rounds, by verb
	RatioLow map[string]float64    `json:"ratioLow"`
	Requests Requests              `json:"requests"`
	Stages   []Stage               `json:"stages,omitempty"`
}

// BurstSide are those of one contender.
type BurstSide struct {
	Errors    int                  `json:"errors"`
	First     []string             `json:"firstErrors,omitempty"`
	PerSecond map[string][]float64 `json:"perSecond"` // Pods by verb, one per round
	Latency   map[string]Summary   `json:"latency"`
	CPU       map[string][]float64 `json:"cpums"` // of the whole machine, milliseconds per Pod
	samples   map[string]Sample
}

func newBurstSide() *BurstSide {
	return &BurstSide{PerSecond: map[string][]float64{}, Latency: map[string]Summary{}, CPU: map[string][]float64{}, samples: map[string]Sample{}}
}

// verb calls f for all Pods, so many at once, and notes how it went. The first round of our side claims its blocks of addresses; it
// counts as any other.
func (b *BurstSide) verb(name string, boxes []Sandbox, flight int, f func(Sandbox) error) {
	times, errs := make(Sample, len(boxes)), make([]error, len(boxes))
	work := make(chan int)
	var crew sync.WaitGroup
	cpuBefore, begin := busyTime(), time.Now()
	for range flight {
		crew.Go(func() {
			for i := range work {
				t := time.Now()
				errs[i] = f(boxes[i])
				times[i] = time.Since(t)
			}
		})
	}
	for i := range boxes {
		work <- i
	}
	close(work)
	crew.Wait()
	took := time.Since(begin)
	used := busyTime() - cpuBefore
	good := 0
	for _, err := range errs {
		if err == nil {
			good++
			continue
		}
		if b.Errors++; len(b.First) < 5 {
			b.First = append(b.First, err.Error())
		}
	}
	b.PerSecond[name] = append(b.PerSecond[name], float64(good)/took.Seconds())
	b.CPU[name] = append(b.CPU[name], milliseconds(used)/float64(len(boxes)))
	b.samples[name] = append(b.samples[name], times...)
}

// round is one contender's turn: all Pods come, are looked at, and go.
func (w *World) round(ctx context.Context, c *Contender, side *BurstSide, o Options) error {
	boxes := make([]Sandbox, 0, o.Pods)
	defer func() {
		for _, s := range boxes {
			_ = s.remove()
		}
		settle(len(boxes))
	}()
	for i := range o.Pods {
		s, err := newSandbox(w.pods[i])
		if err != nil {
			return err
		}
		boxes = append(boxes, s)
	}
	time.Sleep(500 * time.Millisecond)
	before := side.Errors
	side.verb("ADD", boxes, o.Flight, func(s Sandbox) error { return c.Add(ctx, s) })
	if side.Errors == before {
		seen := map[netip.Addr]string{}
		for _, s := range boxes {
			addrs, err := s.attached()
			if err = errors.Join(err, unique(seen, addrs, s.Name)); err != nil {
				return fmt.Errorf("%s: %w", c.Name, err)
			}
		}
	}
	time.Sleep(500 * time.Millisecond)
	side.verb("DEL", boxes, o.Flight, func(s Sandbox) error { return c.Del(ctx, s) })
	for _, s := range boxes {
		if err := s.detached(); err != nil {
			return fmt.Errorf("%s: %w", c.Name, err)
		}
	}
	return ctx.Err()
}

// Burst measures many Pods at once, one contender after the other.
func (w *World) Burst(ctx context.Context, o Options) (*Burst, error) {
	w.say("%d Pods, %d at once: %d rounds", o.Pods, o.Flight, o.Rounds)
	b := &Burst{Rounds: o.Rounds, Pods: o.Pods, Flight: o.Flight, Ratio: map[string]float64{}, RatioLow: map[string]float64{},
		Sides: map[string]*BurstSide{}}
	for _, c := range w.contenders {
		b.Sides[c.Name] = newBurstSide()
	}
	mark, stages := markAudit(), w.agent.stages(ctx)
	for i := range o.Rounds {
		for _, c := range inTurn(w.contenders, i) {
			side := b.Sides[c.Name]
			if err := w.round(ctx, c, side, o); err != nil {
				return nil, err
			}
			w.say("  round %d of %d: %s ADD %.0f, DEL %.0f Pods/s", i+1, o.Rounds, c.Name, side.PerSecond["ADD"][i], side.PerSecond["DEL"][i])
		}
	}
	time.Sleep(time.Second)
	var err error
	if b.Requests, err = mark.since(); err != nil {
		return nil, err
	}
	b.Stages = since(w.agent.stages(ctx), stages)
	for _, verb := range []string{"ADD", "DEL"} {
		if pairs := b.pairs(verb); len(pairs) > 0 {
			b.Ratio[verb], b.RatioLow[verb] = median(pairs), slices.Min(pairs)
		}
		for _, s := range b.Sides {
			s.Latency[verb] = s.samples[verb].Summary()
		}
	}
	return b, nil
}

// pairs are the ratios of throughput, ours over the peer's, round by round.
func (b *Burst) pairs(verb string) []float64 {
	ours, peer := b.Sides[Ours], b.Sides[Peer]
	if ours == nil || peer == nil {
		return nil
	}
	var pairs []float64
	for i, p := range peer.PerSecond[verb] {
		if p > 0 {
			pairs = append(pairs, ours.PerSecond[verb][i]/p)
		}
	}
	return pairs
}
