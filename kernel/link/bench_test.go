package link_test

import (
	"net/netip"
	"testing"

	"github.com/tsunagu-net/tsunagu/kernel/link"
)

// BenchmarkCosts says where the time of wiring goes.
func BenchmarkCosts(b *testing.B) {
	host, pod := namespace(b, "host"), namespace(b, "pod")
	h, p := dial(b, host), dial(b, pod)
	must(b, h.Apply(link.NewVeth(link.End{Name: "up1"}, link.End{Name: "up1far"})))
	up, err := h.ByName("up1")
	must(b, err)
	mac := func(name string) link.Op {
		return link.NewMacvlan(link.End{Name: name, NS: pod, Group: link.Group}, link.Macvlan{Parent: up.Index, Mode: "bridge"})
	}
	veth := link.NewVeth(link.End{Name: "tsu0"}, link.End{Name: "eth0", NS: pod, Group: link.Group})
	b.Run("netns.Do", func(b *testing.B) {
		for b.Loop() {
			pod.Do(func() error { return nil })
		}
	})
	b.Run("dial", func(b *testing.B) {
		for b.Loop() {
			c, err := link.Dial(pod)
			must(b, err)
			c.Close()
		}
	})
	b.Run("links", func(b *testing.B) {
		for b.Loop() {
			_, err := p.Links()
			must(b, err)
		}
	})
	for _, set := range []struct {
		name string
		ops  []link.Op
	}{{"veth", []link.Op{veth}}, {"macvlan", []link.Op{mac("net1")}}, {"veth+2macvlan", []link.Op{veth, mac("net1"), mac("net2")}}} {
		b.Run("make/"+set.name, func(b *testing.B) {
			for b.Loop() {
				must(b, h.Apply(set.ops...))
				b.StopTimer()
				must(b, p.Apply(link.DeleteGroup(link.Group)))
				b.StartTimer()
			}
		})
		b.Run("delete/"+set.name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				must(b, h.Apply(set.ops...))
				b.StartTimer()
				must(b, p.Apply(link.DeleteGroup(link.Group)))
			}
		})
	}
	must(b, h.Apply(veth))
	eth, err := p.ByName("eth0")
	must(b, err)
	b.Run("address", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			a := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32)
			must(b, p.Apply(link.AddAddress("eth0", eth.Index, a, link.AddressOptions{})))
		}
	})
}
