package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// router answers for its addresses in the VLANs that reach it, and for nobody in the others.
type router struct {
	mac       net.HardwareAddr
	addresses map[int]netip.Addr // by VLAN
	index     int
	tap       *os.File
	pruned    atomic.Int32 // a VLAN that the switch does not carry
	untagged  atomic.Bool  // answers lose their tag on the way
}

func (r *router) run(ctx context.Context) {
	conn, _ := r.tap.SyscallConn()
	b := make([]byte, 256)
	for ctx.Err() == nil {
		var n, vlan int
		var from unix.Sockaddr
		var failed error
		if conn.Read(func(fd uintptr) bool {
			n, vlan, from, failed = receiveTagged(int(fd), b)
			return !errors.Is(failed, unix.EAGAIN)
		}) != nil {
			return
		}
		l, ok := from.(*unix.SockaddrLinklayer)
		if failed != nil || !ok || l.Pkttype == unix.PACKET_OUTGOING || vlan == int(r.pruned.Load()) {
			continue
		}
		own, ask := r.addresses[vlan], bytes.Clone(b[:n])
		said, ok := readSaid(ask)
		if !ok || said.Asks != own {
			continue
		}
		answer := advertisementFrame(net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1}, r.mac, own, netip.MustParseAddr("ff02::1"), false)
		if own.Is4() {
			answer = arpFrame(arpReply, ask[6:12], r.mac, own, said.MAC, netip.IPv4Unspecified())
		}
		if !r.untagged.Load() {
			answer = slices.Insert(answer, 12, 0x81, 0x00, byte(vlan>>8), byte(vlan))
		}
		_ = conn.Write(func(fd uintptr) bool {
			return !errors.Is(unix.Sendto(int(fd), answer, 0, &unix.SockaddrLinklayer{Protocol: swap(etherVLAN), Ifindex: r.index, Halen: 6}), unix.EAGAIN)
		})
	}
}

// A question is asked in its VLAN alone, and only an answer that comes in it counts; the node has no interface for the VLAN.
func TestAskInAVLAN(t *testing.T) { askInAVLAN(t, nil) }

// askInAVLAN asks on a trunk that was prepared.
func askInAVLAN(t *testing.T, prepare func(*link.Conn, link.Link) error) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var spaces [2]*netns.Namespace
	for i, name := range []string{"node", "out"} {
		name = fmt.Sprintf("tst-wire-%d-vlan-%s", os.Getpid(), name)
		ns, err := netns.Create(name)
		must(err)
		t.Cleanup(func() { ns.Close(); netns.Delete(name) })
		spaces[i] = ns
	}
	node, outside := spaces[0], spaces[1]
	conn, err := link.Dial(node)
	must(err)
	defer conn.Close()
	must(conn.Apply(link.NewVeth(link.End{Name: "trunk"}, link.End{Name: "wire", NS: outside})))
	ends := map[*netns.Namespace]link.Link{}
	for ns, name := range map[*netns.Namespace]string{node: "trunk", outside: "wire"} {
		c, err := link.Dial(ns)
		must(err)
		defer c.Close()
		l, err := c.ByName(name)
		must(err)
		must(c.Apply(link.Up(name, l.Index)))
		ends[ns] = l
	}
	if prepare != nil {
		must(prepare(conn, ends[node]))
	}
	v4, v6 := netip.MustParseAddr("10.120.0.1"), netip.MustParseAddr("fd00:121::1")
	r := &router{mac: ends[outside].MAC, index: ends[outside].Index, addresses: map[int]netip.Addr{120: v4, 121: v6}}
	must(outside.Do(func() (err error) {
		r.tap, err = open(unix.ETH_P_ALL, []Question{{Index: r.index, VLAN: 121, Target: v6}})
		return err
	}))
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() { cancel(); r.tap.Close() })
	go r.run(ctx)

	trunk := ends[node]
	ask := func(vlan int, target netip.Addr) Question {
		return Question{Index: trunk.Index, MAC: trunk.MAC, VLAN: vlan, Target: target, Present: true}
	}
	seen := func(questions ...Question) (in []int) {
		t.Helper()
		var a *Asker
		must(node.Do(func() (err error) { a, err = AskHere(questions); return err }))
		defer a.Close()
		all, err := a.Ask(t.Context(), 3, 300*time.Millisecond)
		must(err)
		for _, s := range all {
			if !bytes.Equal(s.MAC, r.mac) {
				t.Errorf("%+v is not the router's", s)
			}
			in = append(in, s.VLAN)
		}
		slices.Sort(in)
		return in
	}
	if got := seen(ask(120, v4), ask(121, v6)); !slices.Equal(got, []int{120, 121}) {
		t.Errorf("answers in %v, want 120 and 121", got)
	}
	if got := seen(ask(121, v4), ask(120, v6), ask(122, v4), ask(0, v4)); len(got) > 0 {
		t.Errorf("answers in %v, and nobody has these addresses there", got)
	}
	r.pruned.Store(120)
	if got := seen(ask(120, v4), ask(121, v6)); !slices.Equal(got, []int{121}) {
		t.Errorf("answers in %v, and the switch carries 121 alone", got)
	}
	r.pruned.Store(0)
	r.untagged.Store(true)
	if got := seen(ask(120, v4)); len(got) > 0 {
		t.Errorf("answers in %v that came without a tag", got)
	}
	r.untagged.Store(false)
	if got := seen(ask(120, v4)); !slices.Equal(got, []int{120}) {
		t.Errorf("answers in %v, want 120", got)
	}
	if l, err := conn.ByName("trunk"); err != nil || l.Promisc {
		t.Errorf("the trunk is left promiscuous: %+v, %v", l, err)
	}
}
