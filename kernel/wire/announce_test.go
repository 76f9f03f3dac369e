package wire

import (
	"bytes"
	"net"
	"net/netip"
	"testing"
)

// The bytes of RFC 4861 clause 4.4, with the override flag and the option of clause 4.6.1.
func TestAdvertisement(t *testing.T) {
	got := advertisement(netip.MustParseAddr("fd00::7"), net.HardwareAddr{2, 0, 0, 0, 0, 7})
	want := append([]byte{136, 0, 0, 0, 0x20, 0, 0, 0}, netip.MustParseAddr("fd00::7").AsSlice()...)
	want = append(want, 2, 1, 2, 0, 0, 0, 0, 7)
	if !bytes.Equal(got, want) {
		t.Errorf("%x\nwant %x", got, want)
	}
}
