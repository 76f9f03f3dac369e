package nft_test

import (
	"testing"

	"github.com/tsunagu-net/tsunagu/kernel/nft"
)

func TestServiceProxyIsSeen(t *testing.T) {
	for name, c := range map[string]struct{ rules, want string }{
		"none":     {"nft add table ip other; nft add table ip nat", ""},
		"nftables": {"nft add table ip6 kube-proxy", "kube-proxy (nftables)"},
		"iptables": {"nft add table ip nat; nft add chain ip nat KUBE-SERVICES", "kube-proxy (iptables)"},
	} {
		t.Run(name, func(t *testing.T) {
			ns := namespace(t, "proxy-"+name)
			sh(t, "proxy-"+name, c.rules)
			got, err := nft.ServiceProxy(ns)
			must(t, err)
			check(t, got == c.want, "got %q, want %q", got, c.want)
		})
	}
}
