package bgp

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Port is where BGP listens (RFC 4271 §8.2.1).
const Port = 179

// Peer is a router that is told the routes.
type Peer struct {
	// Address and port of its BGP.
	Address netip.AddrPort
	// AS is its autonomous system's number; of the speaker's own AS it is an internal peer.
	AS uint32
}

// String is ADDRESS=AS, as ParsePeer reads it.
func (p Peer) String() string {
	at := p.Address.Addr().String()
	if p.Address.Port() != Port {
		at = p.Address.String()
	}
	return at + "=" + strconv.FormatUint(uint64(p.AS), 10)
}

// ParsePeer reads ADDRESS=AS, or ADDRESS:PORT=AS; an IPv6 address with a port is in brackets.
func ParsePeer(text string) (Peer, error) {
	at, as, ok := strings.Cut(text, "=")
	if !ok {
		return Peer{}, fmt.Errorf("%q is no ADDRESS=AS, such as 10.0.0.1=65001", text)
	}
	p := Peer{}
	if a, err := netip.ParseAddr(strings.Trim(at, "[]")); err == nil {
		p.Address = netip.AddrPortFrom(a.Unmap(), Port)
	} else if p.Address, err = netip.ParseAddrPort(at); err != nil || p.Address.Port() == 0 {
		return Peer{}, fmt.Errorf("%q: %q is neither an address nor address:port", text, at)
	}
	if a := p.Address.Addr(); a.Zone() != "" || a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() {
		return Peer{}, fmt.Errorf("%q: %s is no router's address", text, a)
	}
	var err error
	p.AS, err = ParseAS(as)
	if err != nil {
		return Peer{}, fmt.Errorf("%q: %w", text, err)
	}
	return p, nil
}

// asTrans stands for numbers of four bytes towards old speakers, and is nobody's (RFC 6793 §9).
const asTrans = 23456

// ParseAS reads the number of an autonomous system, plain or with a dot (RFC 5396).
func ParseAS(text string) (uint32, error) {
	high, low, dotted := strings.Cut(text, ".")
	size := 32
	if dotted {
		size = 16
	} else {
		high, low = "0", text
	}
	h, err1 := strconv.ParseUint(high, 10, 16)
	l, err2 := strconv.ParseUint(low, 10, size)
	n := uint32(h<<16 | l)
	if err1 != nil || err2 != nil || n == 0 || n == asTrans || n == 1<<16-1 || n == 1<<32-1 { // RFC 7607, RFC 7300
		return 0, fmt.Errorf("AS %q is none: private ones are 64512 to 65534 and 4200000000 to 4294967294", text)
	}
	return n, nil
}

// The shortest hold time that BGP allows (RFC 4271 §4.2), and what BFD is used with.
const (
	minHold = 3 * time.Second
	minBFD  = 50 * time.Millisecond
	maxBFD  = 10 * time.Second
)

// Config of a Speaker.
type Config struct {
	// AS of this node.
	AS uint32
	// RouterID is the BGP identifier, which no other speaker has: an IPv4 address of the node (RFC 4271 §4.2).
	RouterID netip.Addr
	Peers    []Peer
	// Password of the sessions (RFC 2385), "" for none.
	Password string
	// Hops is how far away external peers may be; 1 is the next router.
	Hops int
	// Hold is after how long a silent speaker is taken for dead, by both sides; a third of it is between two keepalives.
	Hold time.Duration
	// BFD is the time between two packets of Bidirectional Forwarding Detection (RFC 5880); three lost ones end the session. 0 is none.
	BFD time.Duration
}

// Check says what the speaker would not start with, or never reach a peer with.
func (c Config) Check() error {
	var errs []error
	if len(c.Peers) == 0 {
		errs = append(errs, errors.New("no peer: name the routers, such as 10.0.0.1=65001"))
	}
	seen := map[netip.Addr]bool{}
	for _, p := range c.Peers {
		if seen[p.Address.Addr()] {
			errs = append(errs, fmt.Errorf("peer %s is named twice", p.Address.Addr()))
		}
		if seen[p.Address.Addr()] = true; c.BFD > 0 && c.Hops > 1 && p.AS != c.AS {
			errs = append(errs, fmt.Errorf("BFD is for the next router only (RFC 5881), and %s may be %d hops away: leave one of the two out", p, c.Hops))
		}
	}
	if !c.RouterID.Is4() || c.RouterID.IsUnspecified() {
		errs = append(errs, fmt.Errorf("router ID %s is no IPv4 address (RFC 4271 §4.2)", c.RouterID))
	}
	if c.Hold < minHold || c.Hold > 65535*time.Second || c.Hold%time.Second != 0 {
		errs = append(errs, fmt.Errorf("hold time %s is none: use whole seconds, from %s", c.Hold, minHold))
	}
	if c.Hops < 1 || c.Hops > 255 {
		errs = append(errs, fmt.Errorf("%d hops: use 1 to 255", c.Hops))
	}
	if c.BFD != 0 && (c.BFD < minBFD || c.BFD > maxBFD) {
		errs = append(errs, fmt.Errorf("BFD every %s: use %s to %s", c.BFD, minBFD, maxBFD))
	}
	return errors.Join(errs...)
}

// Reaches says which of the addresses no peer would be told.
func (c Config) Reaches(addresses []netip.Addr) error {
	for _, a := range addresses {
		told := false
		for _, p := range c.Peers {
			told = told || p.Address.Addr().Is4() == a.Is4()
		}
		if !told {
			return fmt.Errorf("no peer would be told of %s: it needs one that is reached by the same family", a)
		}
	}
	return nil
}
