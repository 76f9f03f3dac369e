package main

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/tsunagu-net/tsunagu/bgp"
)

func (m *vipManifest) bgpFlags(f *pflag.FlagSet) {
	f.StringVar(&m.bgp.AS, "bgp-as", "65000", "the nodes' autonomous system, with --mode=bgp")
	f.StringSliceVar(&m.bgp.Peers, "bgp-peers", nil, "the routers, ADDRESS=AS such as 10.0.0.1=65001; IPv6 routes are told to those of an IPv6 address")
	f.StringVar(&m.bgp.PasswordFile, "bgp-password-file", "", "file on the nodes with the sessions' password")
	f.IntVar(&m.bgp.Hops, "bgp-hops", 1, "how far away external routers may be; 1 is the next router")
	f.DurationVar(&m.bgp.Hold, "bgp-hold-time", 9*time.Second, "after how long a silent node is taken for dead by the routers")
	f.DurationVar(&m.bgp.BFD, "bgp-bfd", 0, "time between two BFD packets; none unless said")
}

// checkBGP refuses what tsunagu-vip would not start with.
func (m *vipManifest) checkBGP() error {
	if m.timing != "default" || m.first != "" || m.weight != 1 || m.preempt || m.device != "" {
		return usage("", "--timing, --first, --weight, --preempt and --interface mean nothing with --mode=bgp: every node has the address")
	}
	as, err := bgp.ParseAS(m.bgp.AS)
	if err != nil {
		return usage("", "--bgp-as: %v", err)
	}
	c := bgp.Config{AS: as, RouterID: netip.AddrFrom4([4]byte{1, 1, 1, 1}), Hops: m.bgp.Hops, Hold: m.bgp.Hold, BFD: m.bgp.BFD} // the ID is each node's own
	for _, word := range m.bgp.Peers {
		p, err := bgp.ParsePeer(word)
		if err != nil {
			return usage("--bgp-peers=10.0.0.1=65001", "--bgp-peers: %v", err)
		}
		c.Peers = append(c.Peers, p)
	}
	if err := c.Check(); err != nil {
		return usage("--bgp-peers=10.0.0.1=65001", "--mode=bgp: %v", err)
	}
	if err := c.Reaches(m.addresses); err != nil {
		return usage("--bgp-peers", "%v", err)
	}
	return nil
}

func (m vipManifest) bgpArgs() []string {
	args := []string{"--mode=bgp", "--bgp-as=" + m.bgp.AS, "--bgp-peers=" + strings.Join(m.bgp.Peers, ",")}
	if m.bgp.PasswordFile != "" {
		args = append(args, "--bgp-password-file="+m.bgp.PasswordFile)
	}
	if m.bgp.Hops > 1 {
		args = append(args, "--bgp-hops="+strconv.Itoa(m.bgp.Hops))
	}
	if m.bgp.Hold != 9*time.Second {
		args = append(args, "--bgp-hold-time="+m.bgp.Hold.String())
	}
	if m.bgp.BFD > 0 {
		args = append(args, "--bgp-bfd="+m.bgp.BFD.String())
	}
	return args
}
