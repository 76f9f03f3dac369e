package vrrp

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// heard is what Debian's keepalived 2.2.7 sent.
var heard = []struct {
	name, src, dst, payload string
	want                    Advertisement
}{
	{"version 2, its default", "192.0.2.1", "224.0.0.18", "213378010001a465c00002640000000000000000",
		Advertisement{2, 51, 120, time.Second, addresses("192.0.2.100"), ""}},
	{"version 2 leaves", "192.0.2.1", "224.0.0.18", "2133000100011c66c00002640000000000000000",
		Advertisement{2, 51, 0, time.Second, addresses("192.0.2.100"), ""}},
	{"version 2 with a password", "192.0.2.1", "224.0.0.18", "21367b01010132e2c00002667365637265743132",
		Advertisement{2, 54, 123, time.Second, addresses("192.0.2.102"), "secret12"}},
	{"version 3", "192.0.2.1", "224.0.0.18", "31347901000af0c9c0000265",
		Advertisement{3, 52, 121, 100 * time.Millisecond, addresses("192.0.2.101"), ""}},
	{"version 3, IPv6", "fe80::7c2d:2dff:fec5:db4", "ff02::12", "31357a02000aa314fe800000000000000000000000000053fd000000000000000000000000000100",
		Advertisement{3, 53, 122, 100 * time.Millisecond, addresses("fe80::53", "fd00::100"), ""}},
}

func addresses(texts ...string) (list []netip.Addr) {
	for _, t := range texts {
		list = append(list, netip.MustParseAddr(t))
	}
	return list
}

func TestKeepalivedIsUnderstoodAndSpoken(t *testing.T) {
	for _, h := range heard {
		payload, err := hex.DecodeString(h.payload)
		if err != nil {
			t.Fatal(err)
		}
		src, dst := netip.MustParseAddr(h.src), netip.MustParseAddr(h.dst)
		got, err := Read(payload, src, dst)
		if err != nil || !reflect.DeepEqual(got, h.want) {
			t.Errorf("%s: read %+v, %v; want %+v", h.name, got, err, h.want)
		}
		if again, err := got.Append(nil, src, dst); err != nil || !bytes.Equal(again, payload) {
			t.Errorf("%s: wrote %x, %v; keepalived wrote %x", h.name, again, err, payload)
		}
		for i := range payload {
			payload[i] ^= 0x40
			if _, err := Read(payload, src, dst); err == nil {
				t.Errorf("%s: byte %d is wrong and it was taken", h.name, i)
			}
			payload[i] ^= 0x40
		}
	}
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := Advertisement{Version: rapid.Uint8Range(2, 3).Draw(t, "version"), Router: rapid.Uint8Range(1, 255).Draw(t, "router"),
			Priority: rapid.Uint8().Draw(t, "priority"), Interval: time.Duration(rapid.IntRange(1, 40).Draw(t, "s")) * time.Second}
		src, dst, size := netip.MustParseAddr("192.0.2.1"), Group4, 4
		if a.Version == 2 {
			a.Password = rapid.StringMatching(`[ -~]{0,8}`).Draw(t, "password")
		}
		if a.Version == 3 {
			a.Interval = time.Duration(rapid.IntRange(1, 4095).Draw(t, "cs")) * centisecond
			if rapid.Bool().Draw(t, "six") {
				src, dst, size = netip.MustParseAddr("fe80::1"), Group6, 16
			}
		}
		for range rapid.IntRange(1, 255).Draw(t, "count") {
			address, _ := netip.AddrFromSlice(rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, "address"))
			if !address.Is4In6() {
				a.Addresses = append(a.Addresses, address)
			}
		}
		if len(a.Addresses) == 0 {
			return
		}
		b, err := a.Append(nil, src, dst)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Read(b, src, dst); err != nil || !reflect.DeepEqual(got, a) {
			t.Fatalf("read %+v, %v; wrote %+v", got, err, a)
		}
	})
}

func FuzzRead(f *testing.F) {
	for _, h := range heard {
		payload, _ := hex.DecodeString(h.payload)
		f.Add(payload, h.dst == "ff02::12")
	}
	f.Fuzz(func(t *testing.T, b []byte, six bool) {
		src, dst := netip.MustParseAddr("192.0.2.1"), Group4
		if six {
			src, dst = netip.MustParseAddr("fe80::7c2d:2dff:fec5:db4"), Group6
		}
		a, err := Read(b, src, dst)
		if err != nil {
			return
		}
		if _, err := a.Append(nil, src, dst); err != nil {
			t.Fatalf("%x was read as %+v, which cannot be said: %v", b, a, err)
		}
	})
}
