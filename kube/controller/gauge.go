package controller

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

// gauge shows the counts of pools to Prometheus.
type gauge struct{ addresses *prometheus.GaugeVec }

// addressGauge registers the gauge, once per registry.
func addressGauge(to prometheus.Registerer) (gauge, error) {
	g := gauge{prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "tsunagu_pool_addresses",
		Help: "Addresses of an IPPool by state: total, used, free, static, quarantined.",
	}, []string{"pool", "state"})}
	err := to.Register(g.addresses)
	var before prometheus.AlreadyRegisteredError
	if errors.As(err, &before) {
		if old, ok := before.ExistingCollector.(*prometheus.GaugeVec); ok {
			return gauge{old}, nil
		}
	}
	return g, err
}

func (g gauge) set(pool string, s v1alpha1.IPPoolStatus) {
	for state, n := range map[string]int64{"total": s.Total, "used": s.Used, "free": s.Free, "static": s.Static, "quarantined": s.Conflicts} {
		g.addresses.WithLabelValues(pool, state).Set(float64(n))
	}
}

func (g gauge) forget(pool string) {
	g.addresses.DeletePartialMatch(prometheus.Labels{"pool": pool})
}
