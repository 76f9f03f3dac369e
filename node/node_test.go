package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

func mac(n byte) net.HardwareAddr { return net.HardwareAddr{2, 0, 0, 0, 0, n} }

func nic(index int, name string) Interface {
	return Interface{Index: index, Name: name, MAC: mac(byte(index)), MTU: 1500, Up: true, Carrier: true}
}

var gateway = netip.MustParseAddr("192.168.10.254")

func TestJudge(t *testing.T) {
	down, unplugged := nic(3, "down0"), nic(4, "cut0")
	down.Up, unplugged.Carrier = false, false
	have := []Interface{nic(1, "eth0"), nic(2, "eth1"), down, unplugged}
	for _, c := range []struct {
		name   string
		n      Network
		silent bool
		phase  v1alpha1.NetworkPhase
		reason string
		says   string
	}{
		{"there", Network{Interface: "eth1"}, false, v1alpha1.NetworkPhaseReady, NotAsked, ""},
		{"absent", Network{Interface: "eht1"}, false, v1alpha1.NetworkPhaseMissing, NoInterface, "no interface eht1; it has eth"},
		{"absent and unlike any", Network{Interface: "uplink-x"}, false, v1alpha1.NetworkPhaseMissing, NoInterface, "it has cut0, down0, eth0, eth1"},
		{"down", Network{Interface: "down0"}, false, v1alpha1.NetworkPhaseDegraded, InterfaceDown, "ip link set down0 up"},
		{"unplugged", Network{Interface: "cut0"}, false, v1alpha1.NetworkPhaseDegraded, NoCarrier, "cut0"},
		{"trunk", Network{Trunk: "eth1", VLAN: 120, Gateways: []Gateway{{gateway, true}}}, false, v1alpha1.NetworkPhaseReady, GatewayAnswered, ""},
		{"trunk, VLAN not there", Network{Trunk: "eth1", VLAN: 120, Gateways: []Gateway{{gateway, true}}}, true, v1alpha1.NetworkPhaseDegraded, VLANSilent, "does not answer in VLAN 120 of eth1"},
		{"trunk, a word", Network{Trunk: "eth1", VLAN: 120, Gateways: []Gateway{{gateway, false}}}, true, v1alpha1.NetworkPhaseReady, VLANSilent, "does not answer in VLAN 120 of eth1"},
		{"trunk, nobody to ask", Network{Trunk: "eth1", VLAN: 120}, true, v1alpha1.NetworkPhaseReady, NotAsked, "VLAN 120"},
		{"gateway", Network{Interface: "eth1", Gateways: []Gateway{{gateway, true}}}, false, v1alpha1.NetworkPhaseReady, GatewayAnswered, ""},
		{"silent gateway", Network{Interface: "eth1", Gateways: []Gateway{{gateway, true}}}, true, v1alpha1.NetworkPhaseDegraded, GatewaySilent, "192.168.10.254"},
		{"silent gateway that may be", Network{Interface: "eth1", Gateways: []Gateway{{gateway, false}}}, true, v1alpha1.NetworkPhaseReady, GatewaySilent, "192.168.10.254"},
		{"card", Network{Interface: "ignored", Card: mac(2)}, false, v1alpha1.NetworkPhaseReady, NotAsked, ""},
		{"card that is not seen", Network{Card: mac(9)}, false, v1alpha1.NetworkPhaseMissing, CardNotSeen, "02:00:00:00:00:09"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.n.Name = "blue"
			silent := map[Ask]bool{}
			for _, a := range Asks([]Network{c.n}, have) {
				silent[a] = c.silent
			}
			got := Judge([]Network{c.n}, have, silent)
			if len(got) != 1 || got[0].Name != "blue" || got[0].Phase != c.phase || got[0].Reason != c.reason || !strings.Contains(got[0].Message, c.says) {
				t.Errorf("%+v, want %s %s %q", got, c.phase, c.reason, c.says)
			}
		})
	}
}

func TestAsks(t *testing.T) {
	have := []Interface{nic(1, "eth0"), {Index: 2, Name: "eth1"}}
	g := []Gateway{{gateway, true}}
	got := Asks([]Network{{Name: "a", Interface: "eth0", Gateways: g}, {Name: "b", Interface: "eth0", Gateways: g}, {Name: "c", Interface: "eth1", Gateways: g}, {Name: "d", Trunk: "eth0", VLAN: 120, Gateways: g}, {Name: "e", Interface: "eth9", Gateways: g}}, have)
	if len(got) != 2 || got[0] != (Ask{1, 0, gateway}) || got[1] != (Ask{1, 120, gateway}) {
		t.Errorf("%+v: one question a gateway, none where nobody can answer", got)
	}
}

// world is a node whose parts the test changes.
type world struct {
	mu       sync.Mutex
	networks []Network
	have     []Interface
	silent   bool
	asks     int
	reports  []v1alpha1.NodeNetworkStatus
	refuse   error
	wake     chan struct{}
}

func (w *world) watch() *Watch {
	w.wake = make(chan struct{}, 1)
	return &Watch{
		Networks:   func() []Network { w.mu.Lock(); defer w.mu.Unlock(); return w.networks },
		Interfaces: func() ([]Interface, error) { w.mu.Lock(); defer w.mu.Unlock(); return w.have, nil },
		Ask: func(_ context.Context, asks []Ask) (map[Ask]bool, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.asks++
			silent := map[Ask]bool{}
			for _, a := range asks {
				silent[a] = w.silent
			}
			return silent, nil
		},
		Report: func(_ context.Context, s v1alpha1.NodeNetworkStatus) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.refuse == nil {
				w.reports = append(w.reports, s)
			}
			return w.refuse
		},
		Wake: w.wake, Log: slog.New(slog.DiscardHandler),
	}
}

func (w *world) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

func (w *world) last() string {
	s := w.reports[len(w.reports)-1]
	return fmt.Sprintf("ready=%s missing=%s", s.Ready, s.Missing)
}

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{networks: []Network{{Name: "blue", Interface: "eth1", Gateways: []Gateway{{gateway, true}}}, {Name: "red", Interface: "eth2"}}, have: []Interface{nic(1, "eth1")}}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.watch().Run(ctx) }()
		after := func(d time.Duration, reports int, want string) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			w.mu.Lock()
			defer w.mu.Unlock()
			if len(w.reports) != reports || w.last() != want {
				t.Fatalf("%d reports, want %d; the last is %q, want %q", len(w.reports), reports, w.last(), want)
			}
		}
		after(time.Millisecond, 1, "ready=blue missing=red")
		if w.reports[0].Heartbeat.IsZero() {
			t.Error("no heartbeat")
		}
		after(time.Minute, 1, "ready=blue missing=red") // nothing changes: nothing is written
		if w.asks > 6 {
			t.Errorf("the gateway was asked %d times in a minute", w.asks)
		}
		w.set(func() { w.have = append(w.have, nic(2, "eth2")) })
		after(lookEvery, 2, "ready=blue,red missing=")
		w.set(func() { w.silent = true })
		after(lookEvery, 2, "ready=blue,red missing=") // one lost frame is no outage
		after(askEvery+patience*lookEvery, 3, "ready=red missing=blue")
		w.set(func() { w.silent = false })
		after(lookEvery, 4, "ready=blue,red missing=")
		w.set(func() { w.networks = w.networks[1:] })
		w.wake <- struct{}{}
		after(time.Millisecond, 5, "ready=red missing=")
		w.set(func() { w.refuse = errors.New("the API server is away") })
		w.set(func() { w.have = w.have[:1] })
		after(time.Minute, 5, "ready=red missing=")
		w.set(func() { w.refuse = nil })
		after(lookEvery, 6, "ready= missing=red")
		after(heartbeat, 7, "ready= missing=red")
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// Interfaces that come and go with Pods are not told, unless a Network uses one.
func TestReportTellsWhatLasts(t *testing.T) {
	pod, used, card := nic(1, "cali123"), nic(2, "up1"), nic(3, "ens192")
	pod.Driver, used.Driver, card.Driver, card.PCI = "veth", "veth", "vmxnet3", "0000:0b:00.0"
	s := report([]Network{{Name: "blue", Interface: "up1"}}, []Interface{pod, used, card}, nil)
	if len(s.Interfaces) != 2 || s.Interfaces[0].Name != "ens192" || s.Interfaces[0].PCI != "0000:0b:00.0" || s.Interfaces[1].Name != "up1" {
		t.Errorf("%+v", s.Interfaces)
	}
}
