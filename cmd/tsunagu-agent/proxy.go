package main

import (
	"os"
	"path/filepath"

	"github.com/tsunagu-net/tsunagu/kernel/nft"
)

// serviceProxy names who carries out Services on this node, "none" when it is
// certain that nobody does, and gives nil when that cannot be told: there are
// signs of somebody whose work is not read here.
func serviceProxy() *string {
	name, err := nft.ServiceProxy(nil)
	switch {
	case err != nil, name == "" && unreadProxy("/"):
		return nil
	case name == "":
		name = "none"
	}
	return &name
}

// unreadProxy tells whether something is there that may carry out Services
// without nftables: IPVS, the older iptables, or a CNI's eBPF by its device.
func unreadProxy(root string) bool {
	for _, pattern := range []string{"proc/net/ip_vs", "proc/net/ip_tables_names", "proc/net/ip6_tables_names",
		"sys/class/net/cilium_*", "sys/class/net/bpf*.cali", "sys/class/net/ovn-k8s-*", "sys/class/net/antrea-*", "sys/class/net/kube-ipvs*"} {
		found, _ := filepath.Glob(filepath.Join(root, pattern))
		for _, path := range found {
			info, err := os.Stat(path)
			if err != nil {
				continue
			}
			raw, err := os.ReadFile(path)
			if info.IsDir() || err != nil || len(raw) > 0 { // a list of tables may be empty
				return true
			}
		}
	}
	return false
}
