package vrrp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"
)

// Read takes the payload of an IP packet from src to dst apart.
func Read(payload []byte, src, dst netip.Addr) (Advertisement, error) {
	a, err := read(payload, src, dst)
	if err != nil {
		return Advertisement{}, fmt.Errorf("reading an advertisement from %v: %w", src, err)
	}
	return a, nil
}

func read(b []byte, src, dst netip.Addr) (Advertisement, error) {
	if len(b) < header {
		return Advertisement{}, fmt.Errorf("%d bytes, a header has %d", len(b), header)
	}
	if kind := b[0] & 0xf; kind != 1 {
		return Advertisement{}, fmt.Errorf("type %d is not an advertisement", kind)
	}
	a := Advertisement{Version: b[0] >> 4, Router: b[1], Priority: b[2]}
	size, tail := 4, 0
	if src.Is6() {
		size = 16
	}
	switch a.Version {
	case 2:
		if b[4] > byPassword {
			return Advertisement{}, fmt.Errorf("authentication of type %d is none that is spoken here (none, or a password)", b[4])
		}
		a.Interval, tail = time.Duration(b[5])*time.Second, password
	case 3:
		a.Interval = time.Duration(binary.BigEndian.Uint16(b[4:])&0xfff) * centisecond
	}
	want := header + int(b[3])*size + tail
	if len(b) < want {
		return Advertisement{}, fmt.Errorf("%d bytes, %d addresses take %d", len(b), b[3], want)
	}
	if len(b) > want {
		return Advertisement{}, fmt.Errorf("%d bytes behind the last address", len(b)-want)
	}
	if checksum(a.Version, b, src, dst) != 0 {
		return Advertisement{}, fmt.Errorf("the checksum is wrong")
	}
	for at := header; at < want-tail; at += size {
		address, _ := netip.AddrFromSlice(b[at : at+size])
		a.Addresses = append(a.Addresses, address)
	}
	if a.Version == 2 && b[4] == byPassword {
		a.Password = string(bytes.TrimRight(b[want-tail:want], "\x00"))
	}
	return a, a.check()
}
