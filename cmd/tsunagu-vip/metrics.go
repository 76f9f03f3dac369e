package main

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/tsunagu-net/tsunagu/vip"
)

// counts are what happened.
type counts struct {
	gained, lost atomic.Int64
	owns, ready  atomic.Bool
	led          atomic.Bool // to another node's API server
}

// counted is an announcer whose turns are counted.
type counted struct {
	vip.Announcer
	counts *counts
}

func (c counted) Own(owns bool) {
	c.Announcer.Own(owns)
	c.counts.owns.Store(owns)
	if owns {
		c.counts.gained.Add(1)
	} else {
		c.counts.lost.Add(1)
	}
}

func (n *node) registry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(n, collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewGoCollector())
	return r
}

var (
	ownerNow      = prometheus.NewDesc("tsunagu_vip_owner", "1 when this node has the control plane's address.", nil, nil)
	ownerKnown    = prometheus.NewDesc("tsunagu_vip_owner_known", "1 when this node knows who has the address.", nil, nil)
	turns         = prometheus.NewDesc("tsunagu_vip_transitions_total", "How often this node got the address, or let it go.", []string{"to"}, nil)
	epochNow      = prometheus.NewDesc("tsunagu_vip_epoch", "Number of the newest attempt to have the address.", nil, nil)
	membersNow    = prometheus.NewDesc("tsunagu_vip_members", "Control-plane nodes, by whether they were heard within a second.", []string{"state"}, nil)
	readyNow      = prometheus.NewDesc("tsunagu_vip_ready", "1 when this node would serve well: its API server is ready and its interface works.", nil, nil)
	ledNow        = prometheus.NewDesc("tsunagu_vip_led_elsewhere", "1 while connections to the address would be led to another node's API server.", nil, nil)
	lagNow        = prometheus.NewDesc("tsunagu_vip_lag_seconds", "How late this node's own ticks are.", nil, nil)
	droppedFrames = prometheus.NewDesc("tsunagu_vip_fence_dropped_total", "Frames for or from the address that the fence held back.", []string{"direction"}, nil)
	claims        = prometheus.NewDesc("tsunagu_vip_foreign_claims_total", "Seconds in which another host claimed the address while this node had it.", nil, nil)
	refused       = prometheus.NewDesc("tsunagu_vip_refused_messages_total", "Messages about the address by other hosts that were not believed; the log names them.", nil, nil)
	serverWorks   = prometheus.NewDesc("tsunagu_vip_server_works", "1 when the proxy would lead to this API server.", []string{"server"}, nil)
	sessionUp     = prometheus.NewDesc("tsunagu_vip_bgp_session_up", "1 when the routes are told to this BGP peer.", []string{"peer"}, nil)
	serverConns   = prometheus.NewDesc("tsunagu_vip_server_connections", "Connections that the proxy leads to this API server.", []string{"server"}, nil)
)

// Describe is of prometheus.Collector.
func (n *node) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{ownerNow, ownerKnown, turns, epochNow, membersNow, readyNow, ledNow, lagNow, droppedFrames, claims, refused, serverWorks, serverConns, sessionUp} {
		to <- d
	}
}

// Collect is of prometheus.Collector.
func (n *node) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	v, err := n.status(ctx)
	if err != nil {
		return
	}
	gauge := func(d *prometheus.Desc, x float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, x, labels...)
	}
	count := func(d *prometheus.Desc, x float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, x, labels...)
	}
	for _, s := range v.Servers {
		gauge(serverWorks, bit(s.Works), s.Server)
		gauge(serverConns, float64(s.Connections), s.Server)
	}
	if n.agent == nil {
		return
	}
	heard, silent := 0, 0
	for _, m := range v.Members {
		if m.Self || m.SilentMS >= 0 && m.SilentMS < 1000 {
			heard++
		} else {
			silent++
		}
	}
	for _, p := range v.Peers {
		gauge(sessionUp, bit(p.State == "established"), p.Address)
	}
	gauge(ownerNow, bit(v.Owns))
	gauge(ownerKnown, bit(v.Owner != ""))
	gauge(epochNow, float64(v.Epoch))
	gauge(membersNow, float64(heard), "heard")
	gauge(membersNow, float64(silent), "silent")
	gauge(readyNow, bit(n.counts.ready.Load()))
	gauge(ledNow, bit(n.counts.led.Load()))
	gauge(lagNow, v.LagMS/1000)
	count(turns, float64(n.counts.gained.Load()), "owner")
	count(turns, float64(n.counts.lost.Load()), "other")
	count(refused, float64(n.agent.Refused()))
	if n.segment == nil {
		return
	}
	count(claims, float64(n.segment.Claims()))
	if in, out, err := n.segment.Dropped(); err == nil {
		count(droppedFrames, float64(in), "in")
		count(droppedFrames, float64(out), "out")
	}
}

func bit(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
