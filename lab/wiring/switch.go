package wiring

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Switch is the namespace that holds one bridge per segment.
type Switch struct {
	Namespace string
}

// Create makes the namespace and its bridges. Existing ones are kept.
func (s Switch) Create(segments []string) error {
	if err := CreateNamespace(s.Namespace); err != nil {
		return err
	}
	return In(s.Namespace, func() error {
		// A switch forwards frames whatever its own IP stack and firewall think.
		setSysctl("net/ipv6/conf/all/disable_ipv6", "1")
		setSysctl("net/ipv6/conf/default/disable_ipv6", "1")
		setSysctl("net/bridge/bridge-nf-call-iptables", "0")
		setSysctl("net/bridge/bridge-nf-call-ip6tables", "0")
		setSysctl("net/bridge/bridge-nf-call-arptables", "0")
		for _, seg := range segments {
			attrs := netlink.NewLinkAttrs()
			attrs.Name = seg
			snooping := false
			// Without a querier on the wire snooping would cut neighbour
			// discovery off after a while.
			br := &netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &snooping}
			if err := netlink.LinkAdd(br); err != nil && !errors.Is(err, unix.EEXIST) {
				return fmt.Errorf("adding bridge %s in %s: %w", seg, s.Namespace, err)
			}
			if err := netlink.LinkSetUp(br); err != nil {
				return fmt.Errorf("setting bridge %s up: %w", seg, err)
			}
		}
		return nil
	})
}

// Port is one machine's end of a wire.
type Port struct {
	Machine   string // its name on the switch
	Namespace string // where the machine's end goes
	Segment   string // which bridge; also the link's name in the machine
	MAC       net.HardwareAddr
	Addresses []netip.Prefix
	// Bare ports get no address at all, not even a link-local one.
	Bare bool
}

// portName is the switch's end of the wire.
func portName(machine, segment string) string { return machine + "-" + segment }

// Plug wires a machine to a segment. A port that exists already is made anew.
func (s Switch) Plug(p Port) error {
	machine, err := os.Open(Path(p.Namespace))
	if err != nil {
		return fmt.Errorf("plugging %s into %s: %w", p.Machine, p.Segment, err)
	}
	defer machine.Close()
	name := portName(p.Machine, p.Segment)
	err = In(s.Namespace, func() error {
		if old, err := netlink.LinkByName(name); err == nil {
			if err := netlink.LinkDel(old); err != nil {
				return err
			}
		}
		bridge, err := netlink.LinkByName(p.Segment)
		if err != nil {
			return fmt.Errorf("finding bridge %s: %w", p.Segment, err)
		}
		attrs := netlink.NewLinkAttrs()
		attrs.Name = name
		veth := &netlink.Veth{LinkAttrs: attrs, PeerName: p.Segment,
			PeerNamespace: netlink.NsFd(machine.Fd()), PeerHardwareAddr: p.MAC}
		if err := netlink.LinkAdd(veth); err != nil {
			return fmt.Errorf("adding veth: %w", err)
		}
		if err := netlink.LinkSetMaster(veth, bridge); err != nil {
			return fmt.Errorf("joining bridge: %w", err)
		}
		return netlink.LinkSetUp(veth)
	})
	if err != nil {
		return fmt.Errorf("plugging %s into %s: %w", p.Machine, p.Segment, err)
	}
	err = In(p.Namespace, func() error { return p.configure() })
	if err != nil {
		return fmt.Errorf("configuring %s of %s: %w", p.Segment, p.Machine, err)
	}
	return nil
}

func (p Port) configure() error {
	link, err := netlink.LinkByName(p.Segment)
	if err != nil {
		return err
	}
	setSysctl("net/ipv6/conf/"+p.Segment+"/accept_dad", "0")
	setSysctl("net/ipv6/conf/"+p.Segment+"/accept_ra", "0")
	if p.Bare {
		setSysctl("net/ipv6/conf/"+p.Segment+"/addr_gen_mode", "1")
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return err
	}
	for _, a := range p.Addresses {
		if err := addAddress(link, a); err != nil {
			return err
		}
	}
	return nil
}

func addAddress(link netlink.Link, a netip.Prefix) error {
	addr := &netlink.Addr{IPNet: ipNet(a)}
	if a.Addr().Is6() {
		// Nobody else can have it, and a node must be able to bind to it now.
		addr.Flags = unix.IFA_F_NODAD
	}
	if err := netlink.AddrReplace(link, addr); err != nil {
		return fmt.Errorf("adding address %s: %w", a, err)
	}
	return nil
}

// SetPort pulls a machine's plug or puts it back; the machine sees its carrier
// go and come.
func (s Switch) SetPort(machine, segment string, up bool) error {
	err := In(s.Namespace, func() error {
		link, err := netlink.LinkByName(portName(machine, segment))
		if err != nil {
			return err
		}
		if up {
			return netlink.LinkSetUp(link)
		}
		return netlink.LinkSetDown(link)
	})
	if err != nil {
		return fmt.Errorf("switching port of %s on %s: %w", machine, segment, err)
	}
	return nil
}

// Machine makes a namespace ready to be a machine: loopback, forwarding as on
// a node that an administrator prepared for Kubernetes, no duplicate address
// detection, no filter against asymmetric paths.
func Machine(namespace string, extra []netip.Prefix) error {
	return In(namespace, func() error {
		for _, kv := range [][2]string{
			{"net/ipv4/ip_forward", "1"},
			{"net/ipv6/conf/all/forwarding", "1"},
			{"net/ipv6/conf/default/forwarding", "1"},
			{"net/ipv6/conf/all/accept_dad", "0"},
			{"net/ipv6/conf/default/accept_dad", "0"},
			{"net/ipv4/conf/all/rp_filter", "0"},
			{"net/ipv4/conf/default/rp_filter", "0"},
			{"net/ipv4/ping_group_range", "0 2147483647"},
		} {
			setSysctl(kv[0], kv[1])
		}
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		for _, a := range extra {
			if err := addAddress(lo, a); err != nil {
				return err
			}
		}
		return netlink.LinkSetUp(lo)
	})
}

// Route adds or replaces a route in a namespace; an invalid destination is the
// default one.
func Route(namespace string, to netip.Prefix, via netip.Addr) error {
	return In(namespace, func() error {
		r := &netlink.Route{Gw: via.AsSlice(), Protocol: unix.RTPROT_STATIC}
		if to.IsValid() {
			r.Dst = ipNet(to)
		} else if via.Is4() {
			r.Dst = ipNet(netip.MustParsePrefix("0.0.0.0/0"))
		} else {
			r.Dst = ipNet(netip.MustParsePrefix("::/0"))
		}
		if err := netlink.RouteReplace(r); err != nil {
			return fmt.Errorf("adding route to %s via %s in %s: %w", r.Dst, via, namespace, err)
		}
		return nil
	})
}

// RemoveRoute deletes a route; absent is success.
func RemoveRoute(namespace string, to netip.Prefix) error {
	return In(namespace, func() error {
		err := netlink.RouteDel(&netlink.Route{Dst: ipNet(to)})
		if err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("removing route to %s in %s: %w", to, namespace, err)
		}
		return nil
	})
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// setSysctl is best effort: a kernel without IPv6 or without br_netfilter does
// not have the file, and has not the behaviour either.
func setSysctl(key, value string) {
	_ = os.WriteFile(filepath.Join("/proc/sys", key), []byte(value), 0o644)
}
