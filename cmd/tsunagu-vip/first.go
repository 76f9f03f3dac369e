package main

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/tsunagu-net/tsunagu/kernel/wire"
	"github.com/tsunagu-net/tsunagu/vip"
)

// kubeadmEtcd and kubeadmAdmin are what kubeadm writes before it starts the kubelet: the first on each node with an etcd, the second
// where init ran.
const (
	kubeadmEtcd  = "/etc/kubernetes/manifests/etcd.yaml"
	kubeadmAdmin = "/etc/kubernetes/super-admin.conf"
)

// isFirst tells whether this is the node where the cluster began. A node that joins has no etcd yet when this program starts, or one
// that was told that others exist.
func isFirst(said string, self netip.Addr) bool {
	if said != "auto" {
		return said == "yes" || said == self.String()
	}
	if _, err := os.Stat(kubeadmAdmin); err == nil {
		return true
	}
	raw, err := os.ReadFile(kubeadmEtcd)
	return err == nil && !strings.Contains(string(raw), "--initial-cluster-state=existing")
}

// membership fills in with whom the node begins, if it has not begun before.
func membership(ctx context.Context, o options, c *vip.Config, index int, mac net.HardwareAddr, log *slog.Logger) error {
	c.Peers, c.Join = o.peers, o.join
	if known, err := c.Known(); err != nil || known || len(c.Peers) > 0 || len(c.Join) > 0 {
		return err
	}
	if isFirst(o.first, c.Node) {
		taken, err := asked(ctx, index, mac, o.addresses)
		if err != nil {
			return err
		}
		if len(taken) == 0 {
			log.Info("begins alone: this is the first node")
			return nil
		}
		log.Warn("this is the first node, and another host has the address already: asks it to be taken in", "address", taken[0].Target, "mac", taken[0].MAC.String())
	}
	for _, a := range o.addresses {
		if a.Is4() == c.Node.Is4() {
			c.Join = append(c.Join, a)
		}
	}
	log.Info("asks to be taken in", "at", c.Join)
	return nil
}

// asked finds out who has the addresses: probes, which nobody learns from.
func asked(ctx context.Context, index int, mac net.HardwareAddr, addresses []netip.Addr) ([]wire.Sighting, error) {
	var all []wire.Question
	for _, a := range addresses {
		all = append(all, wire.Question{Index: index, MAC: mac, Target: a})
	}
	asker, err := wire.AskHere(all)
	if err != nil {
		return nil, err
	}
	defer asker.Close()
	return asker.Ask(ctx, 3, 150*time.Millisecond)
}
