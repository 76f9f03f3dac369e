package main

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/tsunagu-net/tsunagu/attach"
	"github.com/tsunagu-net/tsunagu/ipam"
)

// metrics are what the agent counts and measures.
type metrics struct {
	registry *prometheus.Registry
	calls    *prometheus.HistogramVec
	stages   *prometheus.HistogramVec
	requests *prometheus.CounterVec
	// strangers are addresses in use by nobody of ours.
	strangers *prometheus.CounterVec
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		calls: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tsunagu_cni_duration_seconds", Help: "Time to answer a CNI call, by verb and outcome (ok, or the reason of the refusal).",
			Buckets: []float64{.001, .002, .003, .005, .0075, .01, .02, .05, .1, .25, 1, 5, 30},
		}, []string{"verb", "outcome"}),
		stages: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tsunagu_cni_stage_duration_seconds", Help: "Time of the parts of CNI calls; the part status runs beside the call.",
			Buckets: []float64{.0001, .00025, .0005, .001, .002, .003, .005, .01, .02, .05, .1, 1, 5},
		}, []string{"verb", "stage"}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tsunagu_api_requests_total", Help: "Requests to the API server by verb, resource and HTTP status; code 0 is one without an answer.",
		}, []string{"verb", "resource", "code"}),
		strangers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tsunagu_address_conflicts_total",
			Help: "Addresses that a stranger was seen to use, by pool and outcome: avoided, refused (the Pod asked for it), late (the Pod has it).",
		}, []string{"pool", "outcome"}),
	}
	m.registry.MustRegister(m.calls, m.stages, m.requests, m.strangers, collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewGoCollector())
	return m
}

// Verb and Stage are attach.Meter.
func (m *metrics) Verb(verb, outcome string, took time.Duration) {
	m.calls.WithLabelValues(verb, outcome).Observe(took.Seconds())
}

func (m *metrics) Stage(verb, stage string, took time.Duration) {
	m.stages.WithLabelValues(verb, stage).Observe(took.Seconds())
}

// Stranger is of attach.Meter too.
func (m *metrics) Stranger(pool, outcome string) { m.strangers.WithLabelValues(pool, outcome).Inc() }

// request is kube.CountFunc.
func (m *metrics) request(verb, resource string, code int) {
	m.requests.WithLabelValues(verb, resource, strconv.Itoa(code)).Inc()
}

// watch measures what a server has at the moment it is asked.
func (m *metrics) watch(s *attach.Server, addresses *ipam.Allocator) {
	m.registry.MustRegister(holdings{s}, addresses)
}

// holdings counts sandboxes when they are asked for.
type holdings struct{ server *attach.Server }

var (
	sandboxesHeld = prometheus.NewDesc("tsunagu_sandboxes", "Sandboxes on this node, by state.", []string{"state"}, nil)
	unreported    = prometheus.NewDesc("tsunagu_network_status_pending", "Pods whose network-status is not written yet.", nil, nil)
	agentReady    = prometheus.NewDesc("tsunagu_ready", "1 when the agent can attach Pods.", nil, nil)
)

func (h holdings) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{sandboxesHeld, unreported, agentReady} {
		to <- d
	}
}

func (h holdings) Collect(to chan<- prometheus.Metric) {
	view := h.server.View()
	states := map[attach.State]int{attach.Wired: 0}
	for _, s := range view.Sandboxes {
		states[s.State]++
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for state, n := range states {
		gauge(sandboxesHeld, float64(n), string(state))
	}
	gauge(unreported, float64(view.Unreported))
	ready := 0.0
	if len(view.Lacks) == 0 {
		ready = 1
	}
	gauge(agentReady, ready)
}
