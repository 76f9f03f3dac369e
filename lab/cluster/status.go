package cluster

import (
	"context"
	"net/netip"
	"os"
	"time"

	"github.com/tsunagu-net/tsunagu/lab/plan"
	"github.com/tsunagu-net/tsunagu/lab/supervise"
	"github.com/tsunagu-net/tsunagu/lab/wiring"
)

// Status describes a lab for people and programs; its JSON form is part of the
// command line's contract.
type Status struct {
	Name         string          `json:"name"`
	Dir          string          `json:"dir"`
	Kubeconfig   string          `json:"kubeconfig"`
	API          string          `json:"api"` // as this machine reaches it
	Complete     bool            `json:"complete"`
	Proxy        Proxy           `json:"kubeProxy"`
	CNI          CNI             `json:"cni"`
	Family       plan.Family     `json:"ipFamily"`
	PodCIDRs     []netip.Prefix  `json:"podCIDRs"`
	ServiceCIDRs []netip.Prefix  `json:"serviceCIDRs"`
	DNS          []netip.Addr    `json:"clusterDNS"`
	NodeSubnets  []netip.Prefix  `json:"nodeSubnets"`
	Machines     []MachineStatus `json:"machines"`
	Far          []netip.Prefix  `json:"outsideFarAddresses"`
	OutsideName  string          `json:"outsideName"`
}

// MachineStatus is one node, or the outside host.
type MachineStatus struct {
	Name             string                    `json:"name"`
	Role             string                    `json:"role"`  // control-plane, worker, outside
	State            string                    `json:"state"` // running, paused, off
	Ready            *bool                     `json:"ready,omitempty"`
	Why              string                    `json:"why,omitempty"` // it is not Ready
	UID              string                    `json:"uid,omitempty"`
	PodCIDRs         []string                  `json:"podCIDRs,omitempty"`
	Namespace        string                    `json:"namespace"`
	NamespaceFD      string                    `json:"namespacePath"`
	PID              int                       `json:"pid,omitempty"`
	Dir              string                    `json:"dir"`
	Addresses        map[string][]netip.Prefix `json:"addresses"` // by segment
	MACs             map[string]string         `json:"macs"`
	Components       []supervise.Status        `json:"components,omitempty"`
	ContainerdSocket string                    `json:"containerdSocket,omitempty"` // as the host reaches it
}

// statusPatience is how long Status waits for an API server that hangs.
const statusPatience = 4 * time.Second

// Status asks every machine and the API server; what does not answer is left
// out rather than an error.
func (c *Cluster) Status(ctx context.Context) (Status, error) {
	o := c.state.Options
	s := Status{
		Name: c.Name(), Dir: c.dir, Kubeconfig: c.Kubeconfig(), API: c.apiURL(), Complete: c.state.Complete,
		Proxy: o.Proxy, CNI: o.CNI, Family: o.Family,
		PodCIDRs: c.plan.PodCIDRs(), ServiceCIDRs: c.plan.ServiceCIDRs(), DNS: c.plan.DNSService(),
		NodeSubnets: c.plan.NodeSubnets(), Far: c.plan.Far(), OutsideName: OutsideName,
	}
	client, err := c.api()
	if err != nil && !os.IsNotExist(err) {
		return s, err
	}
	ctx, cancel := context.WithTimeout(ctx, statusPatience)
	defer cancel()
	for _, n := range c.state.Nodes {
		role := "worker"
		if n.ControlPlane {
			role = "control-plane"
		}
		m, err := c.machineStatus(ctx, n.Name, role, n.Index)
		if err != nil {
			return s, err
		}
		m.Addresses = map[string][]netip.Prefix{string(plan.Eth0): n.Addresses, string(plan.Up1): {}, string(plan.Up2): {}}
		if client != nil {
			if obj, err := client.node(ctx, n.Name); err == nil {
				ready, why := obj.ready()
				m.Ready, m.UID, m.PodCIDRs = &ready, obj.Metadata.UID, obj.Spec.PodCIDRs
				if !ready {
					m.Why = why
				}
			}
		}
		s.Machines = append(s.Machines, m)
	}
	m, err := c.machineStatus(ctx, plan.Outside, "outside", 0)
	if err != nil {
		return s, err
	}
	m.Addresses = map[string][]netip.Prefix{}
	for _, seg := range plan.Segments {
		m.Addresses[string(seg)] = c.plan.OutsideOn(seg)
	}
	s.Machines = append(s.Machines, m)
	return s, nil
}

func (c *Cluster) machineStatus(ctx context.Context, name, role string, index int) (MachineStatus, error) {
	spec, err := c.machine(name)
	if err != nil {
		return MachineStatus{}, err
	}
	m := MachineStatus{Name: name, Role: role, State: "off", Namespace: spec.Namespace(), NamespaceFD: wiring.Path(spec.Namespace()),
		Dir: c.nodeDir(name), MACs: map[string]string{}, PID: spec.PID()}
	for _, seg := range plan.Segments {
		m.MACs[string(seg)] = c.plan.MAC(seg, index).String()
	}
	switch {
	case m.PID == 0:
	case spec.Group(c.host).Frozen():
		m.State = "paused"
	default:
		m.State = "running"
		if rep, err := c.supervisor(spec).Status(ctx); err == nil {
			m.Components = rep.Components
		}
	}
	if root, err := spec.Root(); err == nil && role != "outside" {
		m.ContainerdSocket = root + containerdSocket
	}
	return m, nil
}
