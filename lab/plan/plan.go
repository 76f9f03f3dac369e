// Package plan decides every address of a lab: nodes, the host outside, Pods,
// Services and hardware addresses. It is pure, so that a test can name an
// address without asking a running lab for it; it knows no kernel and no
// Kubernetes. Start at New.
package plan

import (
	"fmt"
	"hash/fnv"
	"net"
	"net/netip"
	"regexp"
)

// Family says which IP families a lab speaks.
type Family string

const (
	Dual Family = "dual"
	IPv4 Family = "ipv4"
	IPv6 Family = "ipv6"
)

// ParseFamily is the door for what a user typed.
func ParseFamily(s string) (Family, error) {
	switch f := Family(s); f {
	case Dual, IPv4, IPv6:
		return f, nil
	}
	return "", fmt.Errorf("IP family %q: want dual, ipv4 or ipv6", s)
}

// Segment is one wire that joins all machines of a lab. A node's interface on
// it has the segment's name.
type Segment string

const (
	// Eth0 carries the nodes' own addresses and the default route.
	Eth0 Segment = "eth0"
	// Up1 and Up2 are bare uplinks: the nodes have no address there, Pods get
	// attached to what is behind them.
	Up1 Segment = "up1"
	Up2 Segment = "up2"
)

// Segments lists the wires of a lab.
var Segments = []Segment{Eth0, Up1, Up2}

// Outside is the name of the one machine that does not belong to the cluster.
const Outside = "outside"

// MaxNodes is what fits into the /24 of the node segment beside the gateway.
const MaxNodes = 200

// A lab's namespaces are called <lab>-<node>; without a hyphen in either part
// no lab's names can be taken for another's. Ten characters leave room for
// "-eth0" in a link name of the switch.
var nameOK = regexp.MustCompile(`^[a-z][a-z0-9]{0,9}$`)

// CheckName tells whether a lab or node may be called that.
func CheckName(what, s string) error {
	if !nameOK.MatchString(s) {
		return fmt.Errorf("%s name %q: want 1 to 10 lower-case letters and digits, the first a letter", what, s)
	}
	return nil
}

// Plan is the addressing of one lab.
type Plan struct {
	Lab    string
	Family Family
	id     byte
}

// New gives the plan of a lab. The lab called "lab" always has the same
// addresses; another name picks another node subnet, so that captures and logs
// of two labs cannot be confused (they could not meet on a wire anyway: each
// has its own namespaces).
func New(lab string, family Family) (Plan, error) {
	if err := CheckName("lab", lab); err != nil {
		return Plan{}, err
	}
	p := Plan{Lab: lab, Family: family}
	if lab != "lab" {
		h := fnv.New32a()
		h.Write([]byte(lab))
		p.id = byte(h.Sum32()%254) + 1
	}
	return p, nil
}

// V4 and V6 say whether the lab speaks that family.
func (p Plan) V4() bool { return p.Family != IPv6 }
func (p Plan) V6() bool { return p.Family != IPv4 }

// pick keeps what belongs to the lab's families, IPv4 first.
func pick[T any](p Plan, v4, v6 string, parse func(string) T) []T {
	var out []T
	if p.V4() {
		out = append(out, parse(v4))
	}
	if p.V6() {
		out = append(out, parse(v6))
	}
	return out
}

// host writes the same decimal digits into both families: 172.30.0.11 and
// fd00:30::11 are one machine.
func (p Plan) host(n int) []netip.Prefix {
	return pick(p,
		fmt.Sprintf("172.30.%d.%d/24", p.id, n),
		fmt.Sprintf("fd00:30:%x::%d/64", p.id, n),
		netip.MustParsePrefix)
}

// Node gives the eth0 addresses of the n-th node (from 1), with their subnet.
func (p Plan) Node(n int) []netip.Prefix { return p.host(10 + n) }

// VIP gives the addresses for the control plane: no machine of a lab has them.
func (p Plan) VIP() []netip.Addr { return addrs(p.host(250)) }

// Gateway gives the outside host's addresses on the node segment: the nodes'
// default route and name server.
func (p Plan) Gateway() []netip.Addr { return addrs(p.host(1)) }

// OutsideOn gives the outside host's addresses on a segment.
func (p Plan) OutsideOn(s Segment) []netip.Prefix {
	switch s {
	case Up1:
		return pick(p, "192.168.101.254/24", "fd00:101::fe/64", netip.MustParsePrefix)
	case Up2:
		return pick(p, "192.168.102.254/24", "fd00:102::fe/64", netip.MustParsePrefix)
	}
	return p.host(1)
}

// Far gives addresses of the outside host that are on no segment: they stand
// for the internet, which has no route back to a Pod.
func (p Plan) Far() []netip.Prefix {
	return pick(p, "203.0.113.10/32", "2001:db8:113::10/128", netip.MustParsePrefix)
}

// NodeSubnets gives the subnets of the node segment.
func (p Plan) NodeSubnets() []netip.Prefix {
	var out []netip.Prefix
	for _, a := range p.host(0) {
		out = append(out, a.Masked())
	}
	return out
}

// PodCIDRs gives the ranges Pods are numbered from.
func (p Plan) PodCIDRs() []netip.Prefix {
	return pick(p, "10.244.0.0/16", "fd00:10:244::/56", netip.MustParsePrefix)
}

// ServiceCIDRs gives the ranges of cluster IPs.
func (p Plan) ServiceCIDRs() []netip.Prefix {
	return pick(p, "10.96.0.0/16", "fd00:10:96::/112", netip.MustParsePrefix)
}

// APIService gives the cluster IPs of the Service kubernetes.default.
func (p Plan) APIService() []netip.Addr {
	return pick(p, "10.96.0.1", "fd00:10:96::1", netip.MustParseAddr)
}

// DNSService gives the cluster IPs of the cluster's DNS.
func (p Plan) DNSService() []netip.Addr {
	return pick(p, "10.96.0.10", "fd00:10:96::a", netip.MustParseAddr)
}

// Loopback gives the addresses of the machine itself.
func (p Plan) Loopback() []netip.Addr {
	return pick(p, "127.0.0.1", "::1", netip.MustParseAddr)
}

// MAC gives the locally administered hardware address of machine n on a
// segment; the outside host is number 0.
func (p Plan) MAC(s Segment, n int) net.HardwareAddr {
	seg := byte(0)
	for i, known := range Segments {
		if s == known {
			seg = byte(i)
		}
	}
	return net.HardwareAddr{0x02, 0x74, 0x73, p.id, seg, byte(n)}
}

func addrs(ps []netip.Prefix) []netip.Addr {
	out := make([]netip.Addr, len(ps))
	for i, p := range ps {
		out[i] = p.Addr()
	}
	return out
}
