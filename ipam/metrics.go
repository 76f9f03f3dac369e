package ipam

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what the allocator counts as it goes. Gauges are computed when
// they are asked for.
type metrics struct {
	latency *prometheus.HistogramVec
	claims  *prometheus.CounterVec
	misses  *prometheus.CounterVec
	log     prometheus.Counter
}

func newMetrics() metrics {
	return metrics{
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tsunagu_address_take_seconds", Help: "Time to get the addresses of an interface, by outcome.",
			Buckets: []float64{5e-6, 2e-5, 1e-4, 5e-4, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.5, 1, 2},
		}, []string{"outcome"}),
		claims: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tsunagu_address_block_claims_total", Help: "Blocks that this node tried to lease, by outcome.",
		}, []string{"outcome"}),
		misses: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tsunagu_address_misses_total", Help: "Addresses and tokens that were not at hand when they were taken, by what was done: claim, steal or bind.",
		}, []string{"by"}),
		log: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tsunagu_address_log_errors_total", Help: "Takes that were refused because the node's log could not be written.",
		}),
	}
}

func (m metrics) took(d time.Duration, err error) {
	outcome := "ok"
	if err != nil {
		if outcome = ReasonOf(err); outcome == "" {
			outcome = "error"
		}
	}
	m.latency.WithLabelValues(outcome).Observe(d.Seconds())
}

func (m metrics) claim(err error) {
	outcome := "ok"
	switch {
	case errors.Is(err, ErrExists):
		outcome = "taken"
	case err != nil:
		outcome = "error"
	}
	m.claims.WithLabelValues(outcome).Inc()
}

var (
	usedDesc   = prometheus.NewDesc("tsunagu_addresses_used", "Addresses that interfaces of this node have, by pool.", []string{"pool"}, nil)
	freeDesc   = prometheus.NewDesc("tsunagu_addresses_free", "Addresses that this node can give without asking anybody, by domain.", []string{"domain"}, nil)
	blocksDesc = prometheus.NewDesc("tsunagu_address_blocks", "Blocks leased to this node, by domain.", []string{"domain"}, nil)
	frozenDesc = prometheus.NewDesc("tsunagu_addresses_frozen", "Addresses in use here to which another node has the right.", nil, nil)
	endingDesc = prometheus.NewDesc("tsunagu_address_deletions_pending", "Address objects that wait to be deleted.", nil, nil)
)

// Describe and Collect make the Allocator a prometheus.Collector.
func (a *Allocator) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{usedDesc, freeDesc, blocksDesc, frozenDesc, endingDesc} {
		out <- d
	}
	a.metrics.latency.Describe(out)
	a.metrics.claims.Describe(out)
	a.metrics.misses.Describe(out)
	a.metrics.log.Describe(out)
}

// Collect counts what is held now.
func (a *Allocator) Collect(out chan<- prometheus.Metric) {
	a.metrics.latency.Collect(out)
	a.metrics.claims.Collect(out)
	a.metrics.misses.Collect(out)
	a.metrics.log.Collect(out)
	a.mu.Lock()
	defer a.mu.Unlock()
	used, frozen := map[string]int{}, 0
	for _, h := range a.held {
		for _, s := range h.slots[:h.addresses()] {
			used[s.Pool]++
			if s.frozen {
				frozen++
			}
		}
	}
	gauge := func(d *prometheus.Desc, n int, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), labels...)
	}
	for pool, n := range used {
		gauge(usedDesc, n, pool)
	}
	for domain, s := range a.spaces {
		if IsQuota(domain) {
			continue
		}
		free, blocks := 0, 0
		for _, l := range s.leases {
			free += popcount(l.free())
			if !l.local {
				blocks++
			}
		}
		gauge(freeDesc, free, domain)
		gauge(blocksDesc, blocks, domain)
	}
	gauge(frozenDesc, frozen)
	gauge(endingDesc, len(a.ending))
}
