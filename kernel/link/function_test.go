package link

import (
	"bytes"
	"encoding/binary"
	"net"
	"reflect"
	"testing"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// What a card is told is encoded as the widespread library does it.
func TestSetFunction(t *testing.T) {
	vlan, yes, low, high := uint16(100), true, uint32(10), uint32(20)
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 1}
	var wideMAC nl.VfMac
	wideMAC.Vf = 3
	copy(wideMAC.Mac[:], mac)
	want := [][]byte{
		(&nl.VfVlan{Vf: 3, Vlan: 100, Qos: 5}).Serialize(), wideMAC.Serialize(), (&nl.VfRate{Vf: 3, MinTxRate: 10, MaxTxRate: 20}).Serialize(),
		(&nl.VfSpoofchk{Vf: 3, Setting: 1}).Serialize(), (&nl.VfTrust{Vf: 3, Setting: 1}).Serialize(), (&nl.VfLinkState{Vf: 3, LinkState: 2}).Serialize(),
	}
	ops := SetFunction("pf0", 7, FunctionChange{ID: 3, MAC: mac, VLAN: &vlan, Priority: 5, SpoofCheck: &yes, Trust: &yes, State: "disable", MinRate: &low, MaxRate: &high})
	if len(ops) != len(want) {
		t.Fatalf("%d operations", len(ops))
	}
	for i, o := range ops {
		if !bytes.Contains(o.body, want[i]) {
			t.Errorf("%s: %x\nhas not %x", o, o.body, want[i])
		}
	}
	service := SetFunction("pf0", 7, FunctionChange{ID: 3, VLAN: &vlan, Service: true})
	if len(service) != 1 || !bytes.Contains(service[0].body, binary.BigEndian.AppendUint16(nil, unix.ETH_P_8021AD)) {
		t.Errorf("%x", service[0].body)
	}
}

func TestReadFunctions(t *testing.T) {
	word := func(all ...uint32) (b []byte) {
		for _, v := range all {
			b = binary.NativeEndian.AppendUint32(b, v)
		}
		return b
	}
	mac := append(word(1), 2, 0, 0, 0, 0, 9)
	tag := append(word(1, 100, 4), 0x88, 0xa8, 0, 0)
	var m message
	m.info(7, 0, 0)
	m.nest(unix.IFLA_VFINFO_LIST, func(m *message) {
		m.nest(nl.IFLA_VF_INFO, func(m *message) {
			m.attr(nl.IFLA_VF_MAC, append(mac, make([]byte, 26)...))
			m.attr(nl.IFLA_VF_VLAN, word(1, 100, 4))
			m.nest(nl.IFLA_VF_VLAN_LIST, func(m *message) { m.attr(nl.IFLA_VF_VLAN_INFO, tag) })
			m.attr(nl.IFLA_VF_SPOOFCHK, word(1, 1))
			m.attr(nl.IFLA_VF_TRUST, word(1, 0x7fffffff))
			m.attr(nl.IFLA_VF_LINK_STATE, word(1, 1))
			m.attr(nl.IFLA_VF_RATE, word(1, 10, 20))
		})
	})
	yes := true
	want := []Function{{ID: 1, MAC: net.HardwareAddr{2, 0, 0, 0, 0, 9}, VLAN: 100, Priority: 4, Service: true, SpoofCheck: &yes, State: "enable", MinRate: 10, MaxRate: 20}}
	if got := readFunctions(m); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}
