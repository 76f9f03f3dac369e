package wire

import (
	"bytes"
	"net"
	"net/netip"
	"testing"
)

var (
	macA = net.HardwareAddr{2, 0, 0, 0, 0, 1}
	macB = net.HardwareAddr{2, 0, 0, 0, 0, 2}
)

func TestWhatFramesSay(t *testing.T) {
	a4, b4 := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	a6, b6 := netip.MustParseAddr("fd00::1"), netip.MustParseAddr("fd00::2")
	zero := net.HardwareAddr{0, 0, 0, 0, 0, 0}
	for what, c := range map[string]struct {
		frame []byte
		want  Said
	}{
		"request":       {requestFrame(Question{MAC: macA, Target: b4, From: a4}), Said{Has: a4, From: a4, Asks: b4}},
		"probe":         {requestFrame(Question{MAC: macA, Target: b4}), Said{Asks: b4}},
		"gratuitous":    {arpFrame(arpRequest, broadcast, macA, a4, zero, a4), Said{Has: a4, From: a4}},
		"reply":         {arpFrame(arpReply, macB, macA, a4, macB, b4), Said{Has: a4, From: a4, Reply: true}},
		"solicitation":  {solicitationFrame(Question{MAC: macA, Target: b6, From: a6}), Said{Has: a6, From: a6, Asks: b6}},
		"detection":     {solicitationFrame(Question{MAC: macA, Target: b6}), Said{Asks: b6}},
		"advertisement": {advertisementFrame(macB, macA, a6, b6, true), Said{Has: a6, Reply: true}},
	} {
		got, ok := readSaid(c.frame)
		if !ok || got.Has != c.want.Has || got.Asks != c.want.Asks || got.From != c.want.From || got.Reply != c.want.Reply || !bytes.Equal(got.MAC, macA) {
			t.Errorf("%s says %+v (%v), want %+v", what, got, ok, c.want)
		}
		for n := range c.frame {
			readSaid(c.frame[:n]) // must not panic
		}
	}
}

func FuzzReadSaid(f *testing.F) {
	f.Add(requestFrame(Question{MAC: macA, Target: netip.MustParseAddr("10.0.0.1")}))
	f.Add(advertisementFrame(macB, macA, netip.MustParseAddr("fd00::1"), netip.MustParseAddr("fd00::2"), true))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, ok := readSaid(b)
		if ok && !s.Has.IsValid() && !s.Asks.IsValid() {
			t.Errorf("%x says nothing, and is taken for saying something", b)
		}
	})
}
