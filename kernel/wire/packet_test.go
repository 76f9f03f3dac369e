package wire

import (
	"bytes"
	"encoding/hex"
	"net"
	"net/netip"
	"testing"
)

var testMAC = net.HardwareAddr{2, 0, 0, 0, 0, 7}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The probe of RFC 5227 clause 2.1.1: no sender's address, so that nobody's cache changes.
func TestQuestion4(t *testing.T) {
	got := question(Question{MAC: testMAC, Target: netip.MustParseAddr("192.0.2.9")})
	want := unhex(t, "ffffffffffff"+"020000000007"+"0806"+"0001080006040001"+"020000000007"+"00000000"+"000000000000"+"c0000209")
	if !bytes.Equal(got, want) {
		t.Errorf("%x\nwant %x", got, want)
	}
}

// The solicitation of RFC 4862 clause 5.4.2: from nobody, to the solicited-node group, hop limit 255. Its checksum was computed apart.
func TestQuestion6(t *testing.T) {
	got := question(Question{MAC: testMAC, Target: netip.MustParseAddr("fd00::1:2345")})
	head := "3333ff012345" + "020000000007" + "86dd" + "6000000000183aff" + "00000000000000000000000000000000" + "ff0200000000000000000001ff012345"
	want := unhex(t, head+"8700"+"371b"+"00000000"+"fd000000000000000000000000012345")
	if !bytes.Equal(got, want) {
		t.Errorf("%x\nwant %x", got, want)
	}
}

// With an address of its own it is an ordinary question, which says where the answer goes (RFC 4861 clause 7.2.2).
func TestQuestionWithSender(t *testing.T) {
	got := question(Question{MAC: testMAC, Target: netip.MustParseAddr("fd00::fe"), From: netip.MustParseAddr("fd00::1")})
	if option := unhex(t, "0101020000000007"); !bytes.HasSuffix(got, option) {
		t.Errorf("%x does not end with the option %x", got, option)
	}
	if h, ok := read(got); !ok || h.has != netip.MustParseAddr("fd00::1") || h.asks.IsValid() {
		t.Errorf("read as %+v, %v", h, ok)
	}
	got = question(Question{MAC: testMAC, Target: netip.MustParseAddr("192.0.2.1"), From: netip.MustParseAddr("192.0.2.9")})
	if h, ok := read(got); !ok || h.has != netip.MustParseAddr("192.0.2.9") || h.asks.IsValid() {
		t.Errorf("read as %+v, %v", h, ok)
	}
}

func TestRead(t *testing.T) {
	const stranger, peer = "0a0000000009", "020000000007"
	const node6, all = "fe800000000000000000000000000009", "ff020000000000000000000000000001"
	const target6 = "fd000000000000000000000000000009"
	arp := func(to, op, sender, target string) string {
		return to + stranger + "0806" + "000108000604" + op + stranger + sender + peer + target
	}
	nd := func(limit, typ, source, body string) string {
		size := hex.EncodeToString([]byte{byte(len(body)/2 + 4)})
		return "333300000001" + stranger + "86dd" + "6000000000" + size + "3a" + limit + source + all + typ + "00" + "0000" + body
	}
	for _, c := range []struct{ what, frame, has, asks, mac string }{
		{"reply", arp(peer, "0002", "c0000209", "c0000201"), "192.0.2.9", "", stranger},
		{"request says who has the sender's address", arp("ffffffffffff", "0001", "c0000209", "c0000201"), "192.0.2.9", "", stranger},
		{"announcement", arp("ffffffffffff", "0001", "c0000209", "c0000209"), "192.0.2.9", "", stranger},
		{"probe", arp("ffffffffffff", "0001", "00000000", "c0000209"), "", "192.0.2.9", stranger},
		{"a switch asks one host alone", arp(peer, "0001", "00000000", "c0000209"), "", "", ""},
		{"reverse ARP", arp(peer, "0003", "c0000209", "c0000201"), "", "", ""},
		{"short", arp(peer, "0002", "c0000209", "c0000201")[:80], "", "", ""},
		{"advertisement", nd("ff", "88", node6, "20000000"+target6), "fd00::9", "", stranger},
		{"advertisement of another's MAC", nd("ff", "88", node6, "20000000"+target6+"02010a00000000ff"), "fd00::9", "", "0a00000000ff"},
		{"option of no length", nd("ff", "88", node6, "20000000"+target6+"02000a00000000ff"), "fd00::9", "", stranger},
		{"solicitation of somebody who is about to take it", nd("ff", "87", "00000000000000000000000000000000", "00000000"+target6), "", "fd00::9", stranger},
		{"solicitation of a neighbour", nd("ff", "87", target6, "00000000"+node6), "fd00::9", "", stranger},
		{"over a router", nd("fe", "88", node6, "20000000"+target6), "", "", ""},
		{"router advertisement", nd("ff", "86", node6, "20000000"+target6), "", "", ""},
	} {
		h, ok := read(unhex(t, c.frame))
		want := heard{}
		if c.has != "" {
			want.has = netip.MustParseAddr(c.has)
		}
		if c.asks != "" {
			want.asks = netip.MustParseAddr(c.asks)
		}
		if ok != (c.mac != "") || h.has != want.has || h.asks != want.asks || ok && hex.EncodeToString(h.mac) != c.mac {
			t.Errorf("%s: read as %+v, %v", c.what, h, ok)
		}
	}
}

// FuzzRead feeds what strangers may send. Whatever is read must say who, and of exactly one address.
func FuzzRead(f *testing.F) {
	f.Add(question(Question{MAC: testMAC, Target: netip.MustParseAddr("192.0.2.9")}))
	f.Add(question(Question{MAC: testMAC, Target: netip.MustParseAddr("fd00::9"), From: netip.MustParseAddr("fd00::1")}))
	f.Add(append(question(Question{MAC: testMAC, Target: netip.MustParseAddr("fd00::9")}), 2, 1, 0, 0, 0, 0, 0, 1))
	f.Fuzz(func(t *testing.T, frame []byte) {
		h, ok := read(frame)
		if !ok {
			return
		}
		if len(h.mac) != 6 || h.has.IsValid() == h.asks.IsValid() {
			t.Errorf("%x is read as %+v", frame, h)
		}
	})
}
