package nft

import (
	"fmt"

	"github.com/google/nftables"

	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// ServiceProxy names who carries out Services by nftables in a namespace (nil
// is our own): kube-proxy in its own table, or kube-proxy by iptables-nft. It
// gives "" when there are no such rules; who uses eBPF, IPVS or the older
// iptables is not seen.
func ServiceProxy(ns *netns.Namespace) (name string, err error) {
	look := func() error {
		name, err = serviceProxy()
		return err
	}
	if ns == nil {
		return name, look()
	}
	return name, ns.Do(look)
}

func serviceProxy() (string, error) {
	conn, err := nftables.New()
	if err != nil {
		return "", fmt.Errorf("open nftables socket: %w", err)
	}
	for _, family := range []nftables.TableFamily{nftables.TableFamilyIPv4, nftables.TableFamilyIPv6} {
		tables, err := conn.ListTablesOfFamily(family)
		if err != nil {
			return "", fmt.Errorf("list tables of nftables: %w", err)
		}
		for _, t := range tables {
			if t.Name == "kube-proxy" {
				return "kube-proxy (nftables)", nil
			}
			if t.Name != "nat" {
				continue
			}
			if _, err := conn.ListChain(t, "KUBE-SERVICES"); err == nil {
				return "kube-proxy (iptables)", nil
			}
		}
	}
	return "", nil
}
