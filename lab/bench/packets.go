package bench

import (
	"context"
	"time"
)

// Packets are the figures of packets between Pods on two nodes, by the way they take.
type Packets struct {
	Rounds int               `json:"rounds"`
	Ways   []*Way            `json:"ways"`
	Ratio  map[string]Ratios `json:"ratio"` // ours over each other way
}

// Way are those of one way.
type Way struct {
	Name  string    `json:"name"`
	MTU   int       `json:"mtu"`
	Gbits []float64 `json:"gbits"`    // TCP, one connection, per round
	CPU   []float64 `json:"cpuPerGB"` // seconds of processor time per 10⁹ bytes, per round
	RTT   Summary   `json:"rtt"`
	trips Sample
}

// Ratios are medians of the ratios of each round.
type Ratios struct {
	Gbits float64 `json:"gbits"`
	CPU   float64 `json:"cpuPerGB"`
	RTT   float64 `json:"rtt"` // of the medians
}

// how long one connection sends, and how many echoes are asked for, per round and way.
const (
	sendTime = 1500 * time.Millisecond
	echoes   = 500
)

// Packets measures one way after the other, again and again.
func (w *World) Packets(ctx context.Context, rounds int, quick bool) (*Packets, error) {
	w.say("packets between two nodes: %d rounds", rounds)
	paths, err := w.paths(ctx)
	if err != nil {
		return nil, err
	}
	most := sendTime
	if quick {
		most = 300 * time.Millisecond
	}
	p := &Packets{Rounds: rounds, Ratio: map[string]Ratios{}}
	for _, path := range paths {
		p.Ways = append(p.Ways, &Way{Name: path.name, MTU: path.mtu()})
	}
	for range rounds {
		for i, path := range paths {
			gbits, cpu, err := path.throughput(ctx, most)
			if err != nil {
				return nil, err
			}
			trips, err := path.roundTrips(echoes)
			if err != nil {
				return nil, err
			}
			way := p.Ways[i]
			way.Gbits, way.CPU, way.trips = append(way.Gbits, gbits), append(way.CPU, cpu), append(way.trips, trips...)
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	for _, way := range p.Ways {
		way.RTT = way.trips.Summary()
	}
	for _, other := range p.Ways[1:] {
		ours := p.Ways[0]
		p.Ratio[other.Name] = Ratios{Gbits: overMedian(ours.Gbits, other.Gbits), CPU: overMedian(ours.CPU, other.CPU), RTT: ours.RTT.P50 / other.RTT.P50}
	}
	return p, nil
}

// overMedian is the median of a[i]/b[i].
func overMedian(a, b []float64) float64 {
	var r []float64
	for i := range min(len(a), len(b)) {
		r = append(r, a[i]/b[i])
	}
	return median(r)
}
