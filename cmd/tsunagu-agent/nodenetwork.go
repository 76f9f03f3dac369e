package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
	"github.com/tsunagu-net/tsunagu/kernel/wire"
	"github.com/tsunagu-net/tsunagu/node"
)

// watchNetworks keeps what the API server knows of the node's interfaces and Networks current.
func (a *agent) watchNetworks(ctx context.Context, id *identity) error {
	wake := make(chan struct{}, 1)
	go a.wakeAtChange(ctx, wake)
	w := &node.Watch{
		Networks:   func() []node.Network { return a.networks.Reached(a.own.Cards()) },
		Interfaces: interfaces,
		Raise:      raise,
		Ask:        askGateways,
		Report: func(ctx context.Context, s v1alpha1.NodeNetworkStatus) error {
			return a.own.Report(ctx, id.UID, s)
		},
		Wake: wake,
		Log:  a.log.With("room", "node"),
	}
	for !a.networks.Synced() || !a.own.Synced() { // an empty list would take labels away
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return nil
		}
	}
	return w.Run(ctx)
}

// wakeAtChange sends when the Networks or the node's cards change.
func (a *agent) wakeAtChange(ctx context.Context, wake chan<- struct{}) {
	for {
		select {
		case <-a.networks.Changed():
		case <-a.own.Changed():
		case <-ctx.Done():
			return
		}
		select {
		case wake <- struct{}{}:
		default:
		}
	}
}

// card finds the interface that is the node's card for a Network.
func (a *agent) card(network string) (string, error) {
	if !a.own.Synced() || !a.networks.Synced() {
		return "", errors.New("the API server has not told yet which network cards this node has")
	}
	cards := a.own.Cards()
	for _, n := range a.networks.Reached(cards) {
		if n.Name != network || n.Card == nil {
			continue
		}
		have, err := interfaces()
		if err != nil {
			return "", err
		}
		if i, found := n.On(have); found {
			return i.Name, nil
		}
		return "", fmt.Errorf("this node has no interface with MAC %s, the card that it was given", n.Card)
	}
	for _, c := range cards {
		if c.Network == network {
			return "", fmt.Errorf("card %s of this node is about to be taken away", c.MAC)
		}
	}
	return "", errors.New("this node has no network card on its port group")
}

// raise takes an interface up.
func raise(i node.Interface) error {
	home, err := netns.Home()
	if err != nil {
		return err
	}
	c, err := link.Dial(home)
	if err != nil {
		return err
	}
	defer c.Close()
	yes := true
	return c.Apply(link.Set(link.Change{Device: i.Name, Index: i.Index, Up: &yes}))
}

// ownLinks begins the names of interfaces that tsunagu makes.
const ownLinks = "tsu"

// interfaces are those of the node, without tsunagu's own.
func interfaces() ([]node.Interface, error) {
	home, err := netns.Home()
	if err != nil {
		return nil, err
	}
	c, err := link.Dial(home)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	links, err := c.Links()
	if err != nil {
		return nil, err
	}
	bridges := map[int]bool{}
	for _, l := range links {
		bridges[l.Index] = l.Kind == "bridge"
	}
	var all []node.Interface
	for _, l := range links {
		if l.Loopback || strings.HasPrefix(l.Name, ownLinks) {
			continue
		}
		i := node.Interface{Index: l.Index, Name: l.Name, MAC: bytes.Clone(l.MAC), Driver: l.Kind, MTU: l.MTU, Up: l.Up, Carrier: l.Carrier}
		if bridges[l.Master] {
			i.Bridge = l.Master
		}
		if l.Kind == "" {
			i.PCI, i.Driver = link.Device(l.Name)
		}
		all = append(all, i)
	}
	return all, nil
}

const (
	// gatewayTimes and gatewayWait are how often and how long a gateway is asked.
	gatewayTimes = 3
	gatewayWait  = time.Second
)

// askGateways asks by ARP and neighbour discovery, as probes, so that nobody learns an address from it. A port of a bridge does not hear the
// answer, the bridge does; an answer with a tag is heard before the bridge takes it.
func askGateways(ctx context.Context, asks []node.Ask) (map[node.Ask]bool, error) {
	home, err := netns.Home()
	if err != nil {
		return nil, err
	}
	have, err := interfaces()
	if err != nil {
		return nil, err
	}
	c, err := link.Dial(home)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	silent := map[node.Ask]bool{}
	var questions []wire.Question
	asked := map[node.Ask]node.Ask{} // as they were asked, to as they were meant
	for _, a := range asks {
		silent[a] = true
		for _, i := range have {
			if i.Index != a.Interface {
				continue
			}
			q := wire.Question{Index: i.Index, MAC: i.MAC, VLAN: a.VLAN, Target: a.Target, Present: true}
			if i.Bridge != 0 && a.VLAN == 0 {
				bridge, err := c.ByIndex(i.Bridge)
				if err != nil {
					continue
				}
				q.Index, q.MAC = bridge.Index, bridge.MAC
			}
			questions = append(questions, q)
			asked[node.Ask{Interface: q.Index, VLAN: q.VLAN, Target: a.Target}] = a
		}
	}
	if len(questions) == 0 {
		return silent, nil
	}
	asker, err := wire.AskHere(questions)
	if err != nil {
		return nil, err
	}
	defer asker.Close()
	seen, err := asker.Ask(ctx, gatewayTimes, gatewayWait)
	for _, s := range seen {
		delete(silent, asked[node.Ask{Interface: s.Index, VLAN: s.VLAN, Target: s.Target}])
	}
	return silent, err
}
