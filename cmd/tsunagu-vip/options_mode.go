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

// The modes, by the names that people write.
const (
	byLeaseMode = "lease"
	byVRRPMode  = "vrrp"
	byTableMode = "table"
	byBGPMode   = "bgp"
	// A Lease object, kube-vip's; not the lease that needs no API server.
	byObjectMode = "kube-lease"
)

// modes are all of them.
var modes = []string{byLeaseMode, byVRRPMode, byTableMode, byBGPMode, byObjectMode}

// foreignTo are flags that mean nothing in a mode, besides those of other modes.
var foreignTo = map[string][]string{
	byVRRPMode:   {"timing", "weight", "first", "join", "key-file"},
	byTableMode:  {"timing", "weight", "first", "join", "key-file", "preempt", "interface", "publish", "publish-kubeconfig"},
	byBGPMode:    {"timing", "weight", "first", "join", "key-file", "preempt", "interface", "publish", "publish-kubeconfig"},
	byObjectMode: {"timing", "weight", "first", "join", "key-file", "preempt", "publish", "publish-kubeconfig"},
}

// routing is where routes to the addresses are put.
type routing struct{ number, protocol int }

// modeFlags are --mode and those of single modes. What comes back settles them when all flags are read, with an error that names the flag.
func modeFlags(f *flag.FlagSet, o *options) func(options) error {
	f.StringVar(&o.mode, "mode", byLeaseMode, "how the nodes agree on who has the address: lease (a majority of them); vrrp (RFC 9568), among nodes that run keepalived; table: all have it whose API server works, and a routing daemon exports a table with routes to it; bgp: the same, and routers are told by BGP; kube-lease: who has a Lease of the API server's, as kube-vip's nodes")
	settle := vrrpFlags(f, &o.vrrp)
	settleBGP, settleObject := bgpFlags(f, o), objectFlags(f, &o.object, &o.nodeName)
	settlePublish := publishFlags(f, &o.published)
	f.IntVar(&o.routes.number, "table-id", 198, "number of the routing table")
	f.IntVar(&o.routes.protocol, "table-protocol", 248, "protocol of the routes in it, by which the daemon may know them: 1 to 255")
	return func(o options) error {
		if !slices.Contains(modes, o.mode) {
			return fmt.Errorf("--mode: %q is none of %s", o.mode, strings.Join(modes, ", "))
		}
		var wrong []string
		f.Visit(func(x *flag.Flag) {
			for _, other := range modes[1:] {
				if o.mode != other && strings.HasPrefix(x.Name, other+"-") {
					wrong = append(wrong, "--"+x.Name)
				}
			}
			if slices.Contains(foreignTo[o.mode], x.Name) {
				wrong = append(wrong, "--"+x.Name)
			}
		})
		if err := settlePublish(); err != nil {
			return err
		}
		switch {
		case len(wrong) > 0:
			return fmt.Errorf("%s: it means nothing with --mode=%s, leave it out", strings.Join(wrong, ", "), o.mode)
		case o.mode == byVRRPMode:
			return settle(o)
		case o.mode == byTableMode:
			return o.routes.check()
		case o.mode == byBGPMode:
			return settleBGP()
		case o.mode == byObjectMode:
			return settleObject()
		}
		return nil
	}
}

// Tables and protocols that are the kernel's own (linux/rtnetlink.h).
const (
	defaultTable, localTable = 253, 255
	bootProtocol             = 3
)

func (r routing) check() error {
	switch {
	case r.number < 1 || r.number >= defaultTable && r.number <= localTable:
		return fmt.Errorf("--table-id: %d is none of your own: use 1 to 252, or 256 and more; the daemon exports it", r.number)
	case r.protocol <= bootProtocol || r.protocol > 255:
		return fmt.Errorf("--table-protocol: %d is none, use 4 to 255: 0 to 3 are the kernel's own", r.protocol)
	}
	return nil
}

// vrrpFlags are those of --mode=vrrp. What comes back settles them when all flags are read, with an error that names the flag.
func vrrpFlags(f *flag.FlagSet, c *vrrp.Config) func(options) error {
	router := f.Uint("vrrp-router-id", 0, "virtual router ID, keepalived's virtual_router_id: 1 to 255, the same on all nodes")
	priority := f.Uint("vrrp-priority", 100, "preference of this node: 2 to 254")
	f.DurationVar(&c.Interval, "vrrp-interval", time.Second, "time between two advertisements, keepalived's advert_int")
	version := f.Uint("vrrp-version", 3, "3, or 2, which keepalived speaks unless its vrrp_version says 3")
	f.StringVar(&c.Password, "vrrp-password", "", "keepalived's auth_pass, with version 2")
	return func(o options) error {
		switch {
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
