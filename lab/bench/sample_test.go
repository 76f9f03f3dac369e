package bench

import (
	"math"
	"testing"
	"time"
)

func TestQuantileIsNearestRank(t *testing.T) {
	var s Sample
	for i := 100; i > 0; i-- {
		s = append(s, time.Duration(i))
	}
	for _, c := range []struct {
		q    float64
		want time.Duration
	}{{0, 1}, {.01, 1}, {.5, 50}, {.9, 90}, {.99, 99}, {.991, 100}, {1, 100}} {
		if have := s.Quantile(c.q); have != c.want {
			t.Errorf("quantile %v of 1…100 is %d, want %d", c.q, have, c.want)
		}
	}
	if s[0] != 100 {
		t.Error("the sample's order changed: pairs would no longer be pairs")
	}
	if have := (Sample{}).Quantile(.5); have != 0 {
		t.Errorf("quantile of nothing is %d", have)
	}
}

func TestRatio(t *testing.T) {
	r := ratio(Sample{1, 2, 9}, Sample{10, 8, 18})
	if r.P50 != .2 || r.P99 != .5 || r.Paired != .25 {
		t.Errorf("have %+v, want .2, .5 and .25", r)
	}
	if r := ratio(nil, nil); r.P50 != 0 || r.Paired != 0 {
		t.Errorf("the ratio of nothing is %+v", r)
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		of   []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{4, 1}, 2.5}, {[]float64{9, 1, 2}, 2}} {
		if have := median(c.of); have != c.want {
			t.Errorf("median of %v is %v, want %v", c.of, have, c.want)
		}
	}
	r := Rates{3, 1, 2}
	if r.least() != 1 || r.most() != 3 || !math.IsInf(Rates{}.least(), 1) {
		t.Errorf("rates %v: least %v, most %v", r, r.least(), r.most())
	}
}

func TestTargets(t *testing.T) {
	for _, c := range []struct {
		target Target
		met    bool
	}{{atMost("", 1, 1), true}, {atMost("", 1.01, 1), false}, {atLeast("", 3, 3), true}, {atLeast("", 2.9, 3), false}} {
		if c.target.Met != c.met {
			t.Errorf("%+v: want met %v", c.target, c.met)
		}
	}
}
