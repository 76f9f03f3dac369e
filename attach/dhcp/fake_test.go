package dhcp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"

	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/ipam/iptest"
	"github.com/tsunagu-net/tsunagu/kernel/wire"
)

// segment is a wire with a server on it, in memory.
type segment struct {
	mu sync.Mutex
	// up: the server answers. mute are kinds of messages that it does not.
	up   bool
	mute map[string]bool
	nak  bool
	// pool is given from its beginning; a client id gets its address again.
	pool []netip.Addr
	has  map[string]netip.Addr
	time time.Duration
	more func(*dhcpv4.DHCPv4)
	// said is what clients said, with the time since the beginning.
	said  []string
	began time.Time
}

func newSegment(lease time.Duration, pool ...string) *segment {
	s := &segment{up: true, mute: map[string]bool{}, has: map[string]netip.Addr{}, time: lease, began: time.Now()}
	for _, text := range pool {
		s.pool = append(s.pool, netip.MustParseAddr(text))
	}
	return s
}

// cable is one interface on it.
type cable struct {
	*segment
	answers chan wire.Datagram
}

func (s *segment) open(context.Context, Ask, bool) (Line, error) {
	return &cable{s, make(chan wire.Datagram, 10)}, nil
}

func (c *cable) Close() error { return nil }

func (c *cable) Receive(ctx context.Context) (wire.Datagram, error) {
	select {
	case d := <-c.answers:
		return d, nil
	case <-ctx.Done():
		return wire.Datagram{}, ctx.Err()
	}
}

func (c *cable) Send(b []byte, to Place) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if to.To.Is6() {
		return c.send6(b)
	}
	m, err := dhcpv4.FromBytes(b)
	if err != nil {
		return err
	}
	client := string(m.Options.Get(dhcpv4.OptionClientIdentifier))
	way := "to all"
	if to.MAC != nil {
		way = "to " + to.To.String()
	}
	c.note(m.MessageType().String(), way)
	if !c.up || c.mute[m.MessageType().String()] {
		return nil
	}
	x := c.choose(client)
	kind := dhcpv4.MessageTypeOffer
	switch m.MessageType() {
	case dhcpv4.MessageTypeRelease, dhcpv4.MessageTypeDecline:
		if m.MessageType() == dhcpv4.MessageTypeDecline {
			c.pool = c.pool[1:]
		}
		delete(c.has, client)
		return nil
	case dhcpv4.MessageTypeRequest:
		kind = dhcpv4.MessageTypeAck
		wanted := address4(m.ClientIPAddr)
		if !wanted.IsValid() {
			wanted = address4(m.RequestedIPAddress())
		}
		if c.nak || wanted != x {
			kind = dhcpv4.MessageTypeNak
		} else {
			c.has[client] = x
		}
	}
	r, err := dhcpv4.NewReplyFromRequest(m, dhcpv4.WithMessageType(kind), dhcpv4.WithServerIP(net.IP{10, 0, 0, 1}), dhcpv4.WithOption(dhcpv4.OptServerIdentifier(net.IP{10, 0, 0, 1})))
	if err != nil {
		return err
	}
	if kind != dhcpv4.MessageTypeNak {
		r.YourIPAddr = x.AsSlice()
		r.UpdateOption(dhcpv4.OptSubnetMask(net.CIDRMask(24, 32)))
		r.UpdateOption(dhcpv4.OptIPAddressLeaseTime(c.time))
		r.UpdateOption(dhcpv4.OptRouter(net.IP{10, 0, 0, 1}))
		if c.more != nil {
			c.more(r)
		}
	}
	c.answers <- wire.Datagram{Payload: r.ToBytes(), From: netip.MustParseAddr("10.0.0.1"), MAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}}
	return nil
}

func (c *cable) send6(b []byte) error {
	m, err := dhcpv6.MessageFromBytes(b)
	if err != nil {
		return err
	}
	c.note(m.MessageType.String(), "")
	if !c.up || c.mute[m.MessageType.String()] {
		return nil
	}
	client := m.Options.ClientID().String()
	x := c.choose(client)
	server := &dhcpv6.DUIDLL{HWType: iana.HWTypeEthernet, LinkLayerAddr: net.HardwareAddr{2, 0, 0, 0, 0, 1}}
	r := &dhcpv6.Message{MessageType: dhcpv6.MessageTypeReply, TransactionID: m.TransactionID}
	r.AddOption(dhcpv6.OptClientID(m.Options.ClientID()))
	r.AddOption(dhcpv6.OptServerID(server))
	ia := &dhcpv6.OptIANA{IaId: m.Options.OneIANA().IaId}
	switch m.MessageType {
	case dhcpv6.MessageTypeSolicit:
		r.MessageType = dhcpv6.MessageTypeAdvertise
	case dhcpv6.MessageTypeRelease, dhcpv6.MessageTypeDecline:
		delete(c.has, client)
		return nil
	case dhcpv6.MessageTypeRequest:
		c.has[client] = x
	case dhcpv6.MessageTypeRenew, dhcpv6.MessageTypeRebind:
	default:
		return errors.New("no such message")
	}
	if c.nak {
		ia.Options.Add(&dhcpv6.OptStatusCode{StatusCode: iana.StatusNoBinding, StatusMessage: "who are you"})
	} else {
		ia.Options.Add(&dhcpv6.OptIAAddress{IPv6Addr: x.AsSlice(), PreferredLifetime: c.time / 2, ValidLifetime: c.time})
	}
	r.AddOption(ia)
	c.answers <- wire.Datagram{Payload: r.ToBytes(), From: netip.MustParseAddr("fe80::1")}
	return nil
}

func (s *segment) choose(client string) netip.Addr {
	if x, ok := s.has[client]; ok {
		return x
	}
	return s.pool[0]
}

func (s *segment) note(kind, way string) {
	s.said = append(s.said, strings.TrimSpace(fmt.Sprintf("%v %s %s", time.Since(s.began).Round(100*time.Millisecond), kind, way)))
}

// heard gives what was said since the last time.
func (s *segment) heard() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := strings.Join(s.said, ", ")
	s.said = nil
	return all
}

func (s *segment) set(how func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	how()
}

// pod is a follower that remembers what it was told.
type pod struct {
	mu   sync.Mutex
	told []string
	fail bool
}

func (p *pod) Follow(_ context.Context, a Ask, leases []Lease, why string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fail {
		return errors.New("no")
	}
	words := []string{a.Key.IfName}
	for _, l := range leases {
		words = append(words, l.Address.String())
	}
	if why != "" {
		words = append(words, "because "+why)
	}
	p.told = append(p.told, strings.Join(words, " "))
	return nil
}

// refuse makes it fail.
func (p *pod) refuse(fail bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail = fail
}

func (p *pod) heard() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := strings.Join(p.told, ", ")
	p.told = nil
	return all
}

// machine is a node with a keeper on it.
type machine struct {
	*testing.T
	*segment
	pod    *pod
	disk   iptest.Disk
	began  time.Time
	keeper *Keeper
	inUse  map[netip.Addr]net.HardwareAddr
	stop   func()
}

// on runs a test with a machine on a segment, in time that passes at once.
func on(t *testing.T, make func() *segment, do func(m *machine)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := &machine{T: t, segment: make(), pod: &pod{}, began: time.Now(), inUse: map[netip.Addr]net.HardwareAddr{}}
		m.boot()
		do(m)
		m.stop()
	})
}

func (m *machine) boot() {
	m.Helper()
	var err error
	m.keeper, err = New(Options{
		Open: m.open, Log: m.disk.Boot(), Logger: slog.New(slog.DiscardHandler),
		Now:   func() time.Duration { return time.Since(m.segment.began) + time.Hour },
		InUse: func(_ context.Context, _ Ask, x netip.Addr) (net.HardwareAddr, error) { return m.inUse[x], nil },
	})
	if err != nil {
		m.Fatal(err)
	}
	ctx, cancel := context.WithCancel(m.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = m.keeper.Run(ctx, m.pod) }()
	m.stop = func() { cancel(); <-done }
}

func (m *machine) restart(away time.Duration) {
	m.Helper()
	m.stop()
	m.disk.Kill()
	time.Sleep(away)
	m.boot()
}

var net1 = Ask{Key: ipam.Key{ContainerID: "c0ffee", IfName: "net1"}, MAC: net.HardwareAddr{2, 0, 0, 0, 0, 7}, Network: "default/lan", ClientID: "c0ffee/lan/net1", V4: true, Request: []uint8{1, 3}}

func (m *machine) acquire(a Ask) string {
	m.Helper()
	leases, err := m.keeper.Acquire(m.Context(), a)
	if err != nil {
		return err.Error()
	}
	var words []string
	for _, l := range leases {
		words = append(words, l.Address.String())
	}
	return strings.Join(words, " ")
}

// want compares what was said, or told.
func (m *machine) want(what, got, want string) {
	m.Helper()
	if got != want {
		m.Errorf("%s:\n got %s\nwant %s", what, got, want)
	}
}
