package main

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/tsunagu-net/tsunagu/bgp"
)

// bgpFlags are those of --mode=bgp. What comes back settles them when all flags are read, with an error that names the flag.
func bgpFlags(f *flag.FlagSet, o *options) func() error {
	as := f.String("bgp-as", "65000", "this node's autonomous system, as kube-vip's")
	router := f.String("bgp-router-id", "", "BGP identifier of this node (default: its IPv4 address)")
	peers := f.String("bgp-peers", "", "comma list of the routers, ADDRESS=AS or ADDRESS:PORT=AS, such as 10.0.0.1=65001; IPv6 routes are told to those of an IPv6 address")
	f.StringVar(&o.bgpPasswordFile, "bgp-password-file", "", "file with the sessions' password (RFC 2385), the same for all peers")
	f.IntVar(&o.bgp.Hops, "bgp-hops", 1, "how far away external peers may be; 1 is the next router")
	f.DurationVar(&o.bgp.Hold, "bgp-hold-time", 9*time.Second, "after how long a silent node is taken for dead by the routers")
	f.DurationVar(&o.bgp.BFD, "bgp-bfd", 0, "time between two BFD packets, three lost ones end the session; the routers must have BFD on for it (default: none)")
	return func() error {
		var errs []error
		var err error
		if o.bgp.AS, err = bgp.ParseAS(*as); err != nil {
			errs = append(errs, fmt.Errorf("--bgp-as: %w", err))
		}
		for _, word := range split(*peers) {
			p, err := bgp.ParsePeer(word)
			if err != nil {
				errs = append(errs, fmt.Errorf("--bgp-peers: %w", err))
				continue
			}
			o.bgp.Peers = append(o.bgp.Peers, p)
		}
		check := o.bgp
		if *router != "" {
			if o.bgp.RouterID, err = netip.ParseAddr(*router); err != nil {
				errs = append(errs, fmt.Errorf("--bgp-router-id: %q is no IPv4 address", *router))
			}
			check.RouterID = o.bgp.RouterID
		} else {
			check.RouterID = netip.AddrFrom4([4]byte{1, 1, 1, 1}) // the node's own, looked up later
		}
		if len(o.addresses) == 0 || len(errs) > 0 { // a worker
			return errors.Join(errs...)
		}
		if err := errors.Join(check.Check(), check.Reaches(o.addresses)); err != nil {
			return fmt.Errorf("--mode=bgp: %w", err)
		}
		return nil
	}
}

// passwordIn reads a file of one line.
func passwordIn(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read the BGP password: %w", err)
	}
	word := strings.TrimRight(string(b), "\r\n")
	if word == "" || strings.ContainsAny(word, "\r\n") || len(word) > 80 { // TCP_MD5SIG_MAXKEYLEN
		return "", fmt.Errorf("read the BGP password: %s is not one line of 1 to 80 characters", path)
	}
	return word, nil
}
