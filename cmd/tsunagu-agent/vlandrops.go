package main

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tsunagu-net/tsunagu/attach/kind"
)

// vlanDrops counts the frames that were dropped at VLANs of trunks, when it is asked.
type vlanDrops struct {
	read func() ([]kind.VLANDrops, error)
}

var vlanDropped = prometheus.NewDesc("tsunagu_vlan_dropped_frames_total",
	"Frames dropped at a VLAN of a trunk, by reason; port is the node's end of the Pod's interface that sent them, empty for frames from the trunk.",
	[]string{"trunk", "vlan", "port", "reason"}, nil)

func (vlanDrops) Describe(to chan<- *prometheus.Desc) { to <- vlanDropped }

func (d vlanDrops) Collect(to chan<- prometheus.Metric) {
	all, err := d.read()
	if err != nil {
		to <- prometheus.NewInvalidMetric(vlanDropped, err)
		return
	}
	for _, x := range all {
		to <- prometheus.MustNewConstMetric(vlanDropped, prometheus.CounterValue, float64(x.Frames), x.Trunk, strconv.Itoa(x.VLAN), x.Port, x.Reason)
	}
}
