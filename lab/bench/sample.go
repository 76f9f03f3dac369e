package bench

import (
	"math"
	"slices"
	"time"
)

// Sample is a set of durations.
type Sample []time.Duration

// Quantile is the smallest duration that a part q of all do not exceed (nearest rank); 0 of an empty sample.
func (s Sample) Quantile(q float64) time.Duration {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	rank := int(math.Ceil(q*float64(len(sorted)))) - 1
	return sorted[min(max(rank, 0), len(sorted)-1)]
}

// Summary is what is told of a sample, in milliseconds.
type Summary struct {
	Count int     `json:"count"`
	P50   float64 `json:"p50ms"`
	P90   float64 `json:"p90ms"`
	P99   float64 `json:"p99ms"`
	Max   float64 `json:"maxms"`
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// Summary sums the sample up.
func (s Sample) Summary() Summary {
	return Summary{len(s), milliseconds(s.Quantile(.5)), milliseconds(s.Quantile(.9)), milliseconds(s.Quantile(.99)), milliseconds(s.Quantile(1))}
}

// median of numbers; 0 of none.
func median(n []float64) float64 {
	if len(n) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(n))
	m := len(s) / 2
	if len(s)%2 == 1 {
		return s[m]
	}
	return (s[m-1] + s[m]) / 2
}

// Target is a promise about one figure.
type Target struct {
	What  string  `json:"what"`
	Have  float64 `json:"have"`
	Want  float64 `json:"want"`
	Least bool    `json:"atLeast"` // Want is a lower bound, otherwise an upper one
	Met   bool    `json:"met"`
}

func atMost(what string, have, want float64) Target {
	return Target{What: what, Have: have, Want: want, Met: have <= want}
}

func atLeast(what string, have, want float64) Target {
	return Target{What: what, Have: have, Want: want, Least: true, Met: have >= want}
}

// Rates are throughputs, one per round.
type Rates []float64

func (r Rates) least() float64 { return slices.Min(append(slices.Clone(r), math.Inf(1))) }
func (r Rates) most() float64  { return slices.Max(append(slices.Clone(r), 0)) }
