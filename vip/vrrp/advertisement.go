package vrrp

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Protocol is VRRP's number in the IP header.
const Protocol = 112

// Leaving is the priority of a node that stops being the owner (RFC 9568 §5.2.4).
const Leaving = 0

// The groups that advertisements go to (RFC 9568 §5.1).
var (
	Group4 = netip.AddrFrom4([4]byte{224, 0, 0, 18})
	Group6 = netip.MustParseAddr("ff02::12")
)

// Advertisement is the one message of VRRP.
type Advertisement struct {
	Version  uint8 // 2 or 3
	Router   uint8 // the virtual router's id, 1 to 255
	Priority uint8
	// Interval between two of them: whole centiseconds up to 40.95 s in version
	// 3, whole seconds up to 255 s in version 2.
	Interval time.Duration
	// Addresses, all of one family.
	Addresses []netip.Addr
	// Password is version 2's: eight bytes at most, readable by everybody on the segment. It keeps mistakes apart, not enemies.
	Password string
}

const (
	header   = 8
	password = 8 // version 2's authentication data, at the end
	mostAny  = 255
)

// Append writes the advertisement as the payload of an IP packet from src to
// dst, which version 3's checksum covers.
func (a Advertisement) Append(b []byte, src, dst netip.Addr) ([]byte, error) {
	if err := a.check(); err != nil {
		return b, fmt.Errorf("writing an advertisement of router %d: %w", a.Router, err)
	}
	start := len(b)
	b = append(b, a.Version<<4|1, a.Router, a.Priority, byte(len(a.Addresses)))
	if a.Version == 2 {
		b = append(b, a.authentication(), byte(a.Interval/time.Second), 0, 0)
	} else {
		b = binary.BigEndian.AppendUint16(b, uint16(a.Interval/centisecond))
		b = append(b, 0, 0)
	}
	for _, address := range a.Addresses {
		b = append(b, address.AsSlice()...)
	}
	tail := len(b)
	if a.Version == 2 {
		b = append(b, make([]byte, password)...)
		copy(b[tail:], a.Password)
	}
	binary.BigEndian.PutUint16(b[start+6:], checksum(a.Version, b[start:], src, dst))
	return b, nil
}

// Types of version 2's authentication (RFC 2338 §5.3.6).
const (
	openly     = 0
	byPassword = 1
)

func (a Advertisement) authentication() byte {
	if a.Password == "" {
		return openly
	}
	return byPassword
}

const centisecond = 10 * time.Millisecond

func (a Advertisement) check() error {
	unit, most := centisecond, 4095*centisecond
	if a.Version == 2 {
		unit, most = time.Second, mostAny*time.Second
	}
	switch {
	case a.Version != 2 && a.Version != 3:
		return fmt.Errorf("version %d is neither 2 nor 3", a.Version)
	case a.Router == 0:
		return fmt.Errorf("the router's id is 0, use 1 to 255")
	case a.Interval < unit || a.Interval > most || a.Interval%unit != 0:
		return fmt.Errorf("interval %v: version %d says it in steps of %v up to %v", a.Interval, a.Version, unit, most)
	case a.Version == 3 && a.Password != "":
		return fmt.Errorf("version 3 has no password")
	case len(a.Password) > password || strings.Contains(a.Password, "\x00"):
		return fmt.Errorf("the password has %d bytes, it may have %d, none of them zero", len(a.Password), password)
	case len(a.Addresses) == 0 || len(a.Addresses) > mostAny:
		return fmt.Errorf("%d addresses, use 1 to 255", len(a.Addresses))
	}
	for _, address := range a.Addresses {
		if !address.IsValid() || address.Is4In6() || address.Zone() != "" || address.Is4() != a.Addresses[0].Is4() {
			return fmt.Errorf("address %v: all are plain and of one family", address)
		}
		if a.Version == 2 && !address.Is4() {
			return fmt.Errorf("address %v: version 2 has no IPv6", address)
		}
	}
	return nil
}

// checksum is that of RFC 1071; version 3 begins with the pseudo-header (RFC
// 9568 §5.2.8).
func checksum(version uint8, payload []byte, src, dst netip.Addr) uint16 {
	var sum uint32
	add := func(b []byte) {
		for ; len(b) >= 2; b = b[2:] {
			sum += uint32(b[0])<<8 | uint32(b[1])
		}
		if len(b) == 1 {
			sum += uint32(b[0]) << 8
		}
	}
	if version == 3 {
		add(src.AsSlice())
		add(dst.AsSlice())
		sum += Protocol + uint32(len(payload))
	}
	add(payload)
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
