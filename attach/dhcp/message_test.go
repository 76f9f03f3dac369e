package dhcp

import (
	"bytes"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv6"

	"github.com/tsunagu-net/tsunagu/kernel/wire"
)

// reply4 is what a server answers to a DISCOVER.
func reply4(kind dhcpv4.MessageType, options ...dhcpv4.Option) []byte {
	m := &dhcpv4.DHCPv4{OpCode: dhcpv4.OpcodeBootReply, HWType: 1, ClientHWAddr: net1.MAC, TransactionID: dhcpv4.TransactionID{1, 2, 3, 4},
		YourIPAddr: net.IP{10, 0, 0, 50}, ClientIPAddr: net.IPv4zero, ServerIPAddr: net.IPv4zero, GatewayIPAddr: net.IPv4zero, Options: dhcpv4.Options{}}
	m.UpdateOption(dhcpv4.OptMessageType(kind))
	for _, o := range options {
		m.UpdateOption(o)
	}
	return m.ToBytes()
}

func read(b []byte) (answer4, bool) {
	return read4(wire.Datagram{Payload: b, From: netip.MustParseAddr("10.0.0.1")}, dhcpv4.TransactionID{1, 2, 3, 4}, net1.MAC)
}

func TestOptionsOfALease(t *testing.T) {
	mask := dhcpv4.OptSubnetMask(net.CIDRMask(24, 32))
	generic := func(code uint8, value ...byte) dhcpv4.Option {
		return dhcpv4.OptGeneric(dhcpv4.GenericOptionCode(code), value)
	}
	for _, c := range []struct {
		name    string
		options []dhcpv4.Option
		want    string
	}{
		{"nothing", nil, "10.0.0.50/8 via invalid IP of 10.0.0.1 [] mtu 0 30m0s 52m30s 1h0m0s"},
		{"mask, router, server", []dhcpv4.Option{mask, generic(3, 10, 0, 0, 9, 10, 0, 0, 8), dhcpv4.OptServerIdentifier(net.IP{10, 0, 0, 3})},
			"10.0.0.50/24 via 10.0.0.9 of 10.0.0.3 [] mtu 0 30m0s 52m30s 1h0m0s"},
		{"times", []dhcpv4.Option{mask, generic(51, 0, 0, 0, 100), generic(58, 0, 0, 0, 20), generic(59, 0, 0, 0, 30)}, "10.0.0.50/24 via invalid IP of 10.0.0.1 [] mtu 0 20s 30s 1m40s"},
		{"times in no order", []dhcpv4.Option{mask, generic(51, 0, 0, 0, 80), generic(58, 0, 0, 0, 90), generic(59, 0, 0, 1, 0)}, "10.0.0.50/24 via invalid IP of 10.0.0.1 [] mtu 0 40s 1m10s 1m20s"},
		{"for ever", []dhcpv4.Option{mask, generic(51, 255, 255, 255, 255)}, "10.0.0.50/24 via invalid IP of 10.0.0.1 [] mtu 0 2562047h47m16.854775807s 2562047h47m16.854775807s 2562047h47m16.854775807s"},
		{"option 121 before 3 and 33", []dhcpv4.Option{mask, generic(3, 10, 0, 0, 9), generic(33, 10, 9, 9, 9, 10, 0, 0, 7), generic(121, 16, 10, 30, 10, 0, 0, 2, 0, 10, 0, 0, 3, 24, 10, 31, 1, 0, 0, 0, 0)},
			"10.0.0.50/24 via invalid IP of 10.0.0.1 [10.30.0.0/16 10.0.0.2 0.0.0.0/0 10.0.0.3 10.31.1.0/24 invalid IP] mtu 0 30m0s 52m30s 1h0m0s"},
		{"option 33", []dhcpv4.Option{mask, generic(33, 10, 9, 9, 9, 10, 0, 0, 7, 0, 0, 0, 0, 10, 0, 0, 7, 1, 2, 3)}, "10.0.0.50/24 via invalid IP of 10.0.0.1 [10.9.9.9/32 10.0.0.7] mtu 0 30m0s 52m30s 1h0m0s"},
		{"routers that are none", []dhcpv4.Option{mask, generic(3, 224, 0, 0, 1, 127, 0, 0, 1, 10, 0, 0, 4)}, "10.0.0.50/24 via 10.0.0.4 of 10.0.0.1 [] mtu 0 30m0s 52m30s 1h0m0s"},
		{"MTU", []dhcpv4.Option{mask, generic(26, 5, 120)}, "10.0.0.50/24 via invalid IP of 10.0.0.1 [] mtu 1400 30m0s 52m30s 1h0m0s"},
		{"MTU that breaks everything", []dhcpv4.Option{mask, generic(26, 0, 68)}, "10.0.0.50/24 via invalid IP of 10.0.0.1 [] mtu 0 30m0s 52m30s 1h0m0s"},
	} {
		a, ok := read(reply4(dhcpv4.MessageTypeAck, c.options...))
		if !ok {
			t.Errorf("%s: not read", c.name)
			continue
		}
		l := a.lease
		words := []string{}
		for _, r := range l.Routes {
			words = append(words, r.Dst.String()+" "+r.Gateway.String())
		}
		got := strings.Join([]string{l.Address.String(), "via", l.Gateway.String(), "of", l.Server.String(), "[" + strings.Join(words, " ") + "]", "mtu", strconv.Itoa(l.MTU), l.Renew.String(), l.Rebind.String(), l.Expire.String()}, " ")
		if got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestWhatIsNoAnswer(t *testing.T) {
	good := reply4(dhcpv4.MessageTypeOffer)
	if _, ok := read(good); !ok {
		t.Fatal("a good one is not read")
	}
	change := func(at int, to byte) []byte {
		b := bytes.Clone(good)
		b[at] = to
		return b
	}
	for name, b := range map[string][]byte{
		"a request": change(0, 1), "of another transaction": change(7, 9), "for another interface": change(33, 9), "no cookie": change(236, 0),
		"network 0": change(16, 0), "a group": change(16, 224), "loopback": change(16, 127), "a DISCOVER": reply4(dhcpv4.MessageTypeDiscover), "short": good[:239],
	} {
		if a, ok := read(b); ok {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

func TestWhatAClientSays(t *testing.T) {
	a := net1
	a.Provide(12, "web")
	a.Provide(77, "ab")
	x := netip.MustParseAddr("10.0.0.50")
	m, err := dhcpv4.FromBytes(a.message4(dhcpv4.MessageTypeRequest, dhcpv4.TransactionID{9}, netip.Addr{}, x, netip.MustParseAddr("10.0.0.1")))
	if err != nil {
		t.Fatal(err)
	}
	for code, want := range map[uint8]string{61: "\x00c0ffee/lan/net1", 12: "web", 77: "\x02ab", 50: "\x0a\x00\x00\x32", 54: "\x0a\x00\x00\x01", 55: "\x01\x03", 57: "\x05\xdc"} {
		if got := string(m.Options[code]); got != want {
			t.Errorf("option %d is %q, want %q", code, got, want)
		}
	}
	a.Provide(61, "\x01abc")
	if m, err = dhcpv4.FromBytes(a.message4(dhcpv4.MessageTypeRelease, dhcpv4.TransactionID{9}, x, netip.Addr{}, netip.MustParseAddr("10.0.0.1"))); err != nil {
		t.Fatal(err)
	}
	if string(m.Options[61]) != "\x01abc" || len(m.Options[12]) > 0 || m.ClientIPAddr.String() != "10.0.0.50" {
		t.Errorf("%+v", m)
	}
	long := ClientID(strings.Repeat("x", 300), "lan", "net1")
	if len(long) != mostClientID || long == ClientID(strings.Repeat("x", 300), "lan", "net2") {
		t.Errorf("%d bytes: %s", len(long), long)
	}
}

func FuzzRead4(f *testing.F) {
	f.Add(reply4(dhcpv4.MessageTypeOffer, dhcpv4.OptSubnetMask(net.CIDRMask(24, 32)), dhcpv4.OptRouter(net.IP{10, 0, 0, 1})))
	f.Add(reply4(dhcpv4.MessageTypeNak))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, ok := read(b)
		if !ok || a.kind == dhcpv4.MessageTypeNak {
			return
		}
		l := a.lease
		if !l.Address.IsValid() || l.Address.Bits() == 0 || l.Renew <= 0 || l.Renew > l.Rebind || l.Rebind > l.Expire || len(l.Routes) > mostRoutes || l.MTU != 0 && l.MTU < leastMTU {
			t.Errorf("%+v", l)
		}
		for _, r := range l.Routes {
			if !r.Dst.IsValid() || r.Dst != r.Dst.Masked() {
				t.Errorf("route %+v", r)
			}
		}
	})
}

func FuzzRead6(f *testing.F) {
	asked, err := net1.message6(dhcpv6.MessageTypeSolicit, time.Now(), netip.Addr{}, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(asked.ToBytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := dhcpv6.MessageFromBytes(b)
		if err != nil {
			return
		}
		read6(wire.Datagram{Payload: b}, asked, net1)
		a := readReply6(m)
		if l := a.lease; a.status == 0 && (!l.Address.Addr().IsGlobalUnicast() || l.Renew <= 0 || l.Renew > l.Rebind || l.Rebind > l.Expire) {
			t.Errorf("%+v", l)
		}
	})
}
