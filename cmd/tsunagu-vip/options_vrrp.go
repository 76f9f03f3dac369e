package main

import (
	"flag"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tsunagu-net/tsunagu/vip/vrrp"
)

// ofLease are flags that mean nothing with VRRP.
var ofLease = []string{"timing", "weight", "first", "join", "key-file"}

// vrrpFlags are those of --mode=vrrp. What comes back settles them when all flags are read, with an error that names the flag.
func vrrpFlags(f *flag.FlagSet, c *vrrp.Config) func(options) error {
	mode := f.String("mode", "lease", "how the nodes agree on who has the address: lease (a majority of them), or vrrp (RFC 9568), among nodes that run keepalived")
	router := f.Uint("vrrp-router-id", 0, "virtual router ID, keepalived's virtual_router_id: 1 to 255, the same on all nodes")
	priority := f.Uint("vrrp-priority", 100, "preference of this node: 2 to 254")
	f.DurationVar(&c.Interval, "vrrp-interval", time.Second, "time between two advertisements, keepalived's advert_int")
	version := f.Uint("vrrp-version", 3, "3, or 2, which keepalived speaks unless its vrrp_version says 3")
	f.StringVar(&c.Password, "vrrp-password", "", "keepalived's auth_pass, with version 2")
	return func(o options) error {
		var wrong []string
		f.Visit(func(x *flag.Flag) {
			if *mode == "vrrp" && slices.Contains(ofLease, x.Name) || *mode == "lease" && strings.HasPrefix(x.Name, "vrrp-") {
				wrong = append(wrong, "--"+x.Name)
			}
		})
		switch {
		case *mode != "lease" && *mode != "vrrp":
			return fmt.Errorf("--mode: %q is neither lease nor vrrp", *mode)
		case len(wrong) > 0:
			return fmt.Errorf("%s: it means nothing with --mode=%s, leave it out", strings.Join(wrong, ", "), *mode)
		case *mode == "lease":
			return nil
		case *router < 1 || *router > 255:
			return fmt.Errorf("--vrrp-router-id: %d is none, use 1 to 255: keepalived's virtual_router_id", *router)
		case *priority < 2 || *priority > 254:
			return fmt.Errorf("--vrrp-priority: %d is none, use 2 to 254", *priority)
		case *version != 2 && *version != 3:
			return fmt.Errorf("--vrrp-version: %d is neither 2 nor 3", *version)
		}
		c.Router, c.Priority, c.Version = uint8(*router), uint8(*priority), uint8(*version)
		if len(o.addresses) == 0 {
			return nil // a worker
		}
		// Those of the other family go with these, as keepalived's virtual_ipaddress_excluded.
		c.Addresses = slices.DeleteFunc(slices.Clone(o.addresses), func(a netip.Addr) bool { return a.Is4() != o.addresses[0].Is4() })
		return c.Check()
	}
}
