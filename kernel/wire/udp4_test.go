package wire

import (
	"bytes"
	"net/netip"
	"testing"
)

func TestUDP4IsReadAsItWasWritten(t *testing.T) {
	from, to := netip.MustParseAddr("10.0.0.7"), netip.MustParseAddr("10.0.0.1")
	for _, payload := range []string{"", "a", "even", "\xff\xff\xff"} {
		b := udp4([]byte(payload), from, to, 68, 67)
		if folded(sum(0, b[:ipv4Size])) != 0xffff {
			t.Errorf("%q: the header's checksum is wrong: %x", payload, b)
		}
		pseudo := sum(17+uint32(len(b)-ipv4Size), b[12:20])
		if folded(sum(pseudo, b[ipv4Size:])) != 0xffff {
			t.Errorf("%q: the datagram's checksum is wrong: %x", payload, b)
		}
		d, ok := readUDP4(append(b, "padding"...))
		if !ok || string(d.Payload) != payload || d.From != from {
			t.Errorf("%q: %+v", payload, d)
		}
		for n := range len(b) {
			if _, ok := readUDP4(b[:n]); ok {
				t.Errorf("%q: %d of %d bytes are read", payload, n, len(b))
			}
		}
	}
}

func FuzzReadUDP4(f *testing.F) {
	f.Add(udp4([]byte("x"), netip.MustParseAddr("10.0.0.7"), netip.MustParseAddr("10.0.0.1"), 68, 67))
	f.Fuzz(func(t *testing.T, b []byte) {
		if d, ok := readUDP4(b); ok && !bytes.Contains(b, d.Payload) {
			t.Errorf("%x is not in %x", d.Payload, b)
		}
	})
}
