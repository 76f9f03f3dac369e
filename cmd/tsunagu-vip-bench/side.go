package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/tsunagu-net/tsunagu/vip/viptest"
)

// side is one way to keep the address.
type side struct {
	name string
	// ours tells that the promises are about it; cut and hand are what they are, in milliseconds.
	ours              bool
	cutMedian, cutMax float64
	// byLease: the nodes agree by a Lease, so API servers that have it in common are needed in every event.
	byLease bool
	start   func(r *round, n *viptest.Node, i int) (*viptest.Process, error)
}

// resident is the node whose priority is the highest, which has the address first.
func sides() []side {
	all := []side{
		{name: "tsunagu", ours: true, cutMedian: 450, cutMax: 700, start: tsunagu("default")},
		{name: "tsunagu-fast", ours: true, cutMedian: 250, cutMax: 700, start: tsunagu("fast")},
		{name: "keepalived-1s", start: keepalived("1")},
		{name: "keepalived-0.1s", start: keepalived("0.1")},
		{name: "keepalived-0.01s", start: keepalived("0.01")},
	}
	if path := os.Getenv(kubeVIPProgram); path != "" {
		all = append(all, side{name: "kube-vip", byLease: true, start: kubeVIP(path)}, side{name: "tsunagu-kube-lease", byLease: true, start: kubeLease})
	}
	return all
}

// kubeVIPProgram names kube-vip's program in the environment: it is measured too then, and tsunagu-vip with the same Lease.
const kubeVIPProgram = "TSUNAGU_KUBE_VIP"

func sideNames() string {
	var names []string
	for _, s := range sides() {
		names = append(names, s.name)
	}
	return strings.Join(names, ", ")
}

func tsunagu(timing string) func(*round, *viptest.Node, int) (*viptest.Process, error) {
	return func(r *round, n *viptest.Node, _ int) (*viptest.Process, error) {
		key := filepath.Join(r.dir, "sa.key")
		if err := os.WriteFile(key, []byte("a secret that all nodes have"), 0o600); err != nil {
			return nil, err
		}
		var peers []string
		for _, p := range r.site.Nodes {
			peers = append(peers, p.IP.String())
		}
		health := "none"
		if r.servers != nil {
			health = "https://127.0.0.1:6443/readyz"
		}
		return n.Start(r.log, nil, r.program, "--address", viptest.VIP4.String(), "--peers", strings.Join(peers, ","), "--key-file", key, "--timing", timing,
			"--state-dir", filepath.Join(r.dir, n.Name, "state"), "--run-dir", filepath.Join(r.dir, n.Name, "run"), "--health", health)
	}
}

// keepalived is set up as its own documentation has it for an address that does not come back by itself.
func keepalived(advert string) func(*round, *viptest.Node, int) (*viptest.Process, error) {
	return func(r *round, n *viptest.Node, i int) (*viptest.Process, error) {
		return viptest.Keepalived{Router: 51, Priority: 120 - 10*i, Interval: advert, Version: 3, API: r.servers != nil}.Start(n, r.dir, r.log)
	}
}

// owner is the node that answers the client now.
func (r *round) owner(w *viptest.Watch) (*viptest.Node, error) {
	by, ok := w.Answered(w.Mark(), "", patience)
	for _, n := range r.site.Nodes {
		if ok && n.Name == by {
			return n, nil
		}
	}
	return nil, fmt.Errorf("nobody answers within %s", patience)
}

// kubeVIP is set up as its own manifest for a control plane has it: ARP, a Lease of five seconds.
func kubeVIP(path string) func(*round, *viptest.Node, int) (*viptest.Process, error) {
	return func(r *round, n *viptest.Node, _ int) (*viptest.Process, error) {
		config, err := r.kubeconfig()
		if err != nil {
			return nil, err
		}
		return n.Start(r.log, []string{"vip_arp=true", "port=6443", "vip_interface=eth0", "address=" + viptest.VIP4.String(), "vip_subnet=32", "cp_enable=true", "cp_namespace=kube-system",
			"vip_leaderelection=true", "vip_leasename=plndr-cp-lock", "vip_leaseduration=5", "vip_renewdeadline=3", "vip_retryperiod=1", "vip_nodename=" + n.Name, "k8s_config_file=" + config,
			"prometheus_server=", "lb_enable=false", "svc_enable=false"}, path, "manager")
	}
}

// kubeLease is tsunagu-vip with kube-vip's Lease and times.
func kubeLease(r *round, n *viptest.Node, _ int) (*viptest.Process, error) {
	config, err := r.kubeconfig()
	if err != nil {
		return nil, err
	}
	health := "none"
	if r.event.serves {
		health = "https://127.0.0.1:6443/readyz"
	}
	var servers []string
	for _, p := range r.site.Nodes {
		servers = append(servers, p.IP.String())
	}
	return n.Start(r.log, nil, r.program, "--mode", "kube-lease", "--address", viptest.VIP4.String(), "--kube-lease-kubeconfig", config, "--node-name", n.Name, "--servers", strings.Join(servers, ","),
		"--state-dir", filepath.Join(r.dir, n.Name, "state"), "--run-dir", filepath.Join(r.dir, n.Name, "run"), "--health", health)
}

// kubeconfig is for all nodes.
func (r *round) kubeconfig() (string, error) {
	path := filepath.Join(r.dir, "kubeconfig")
	if err := os.WriteFile(path, viptest.Kubeconfig(), 0o600); err != nil {
		return "", fmt.Errorf("write the kubeconfig: %w", err)
	}
	return path, nil
}
