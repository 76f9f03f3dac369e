package kind

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
	"github.com/tsunagu-net/tsunagu/kernel/wire"
)

// probeWait is how long a segment is listened to after it was asked for an address, probeTimes how often it is asked within that time:
// the port of a bridge may not forward yet when it is asked first. RFC 5227 clause 1.1 would take up to seven seconds for networks that
// are slower than today's.
const (
	probeWait  = 50 * time.Millisecond
	probeTimes = 2
)

// Stranger is somebody on a segment who has an address that a Pod is to get.
type Stranger struct {
	IfName  string
	Address netip.Addr
	MAC     string
}

// AddressInUse tells that strangers have addresses of the attachments.
type AddressInUse struct {
	Strangers []Stranger
}

func (e AddressInUse) Error() string {
	var all []string
	for _, s := range e.Strangers {
		all = append(all, fmt.Sprintf("address %s of interface %s is in use on the segment by %s", s.Address, s.IfName, s.MAC))
	}
	return strings.Join(all, "; ")
}
func (AddressInUse) Reason() string { return "AddressConflict" }
func (AddressInUse) Fix() string {
	return "find the machine with that MAC and take the address from it, or exclude the address from the network's pool"
}

// probe asks for the addresses before anything has them, from the interfaces that are about to: a macvlan hears the wire and the other
// Pods on its uplink that way, and a bridge port everybody. What a macvlan does not hear is the node itself.
func (t *transaction) probe(ctx context.Context) error {
	var questions []wire.Question
	name := map[int]string{}
	var inUse AddressInUse
	for _, j := range t.jobs {
		if j.kept || !j.Spec.leaves(j) {
			continue
		}
		ours := j.probes()
		if len(ours) == 0 {
			continue
		}
		if err := t.pod.Apply(j.up()); err != nil {
			return err
		}
		var own []link.Address
		if j.below.Index != 0 { // a VLAN of a trunk has nothing of the node on it
			var err error
			if own, err = t.node.AddressesOf(j.below.Index); err != nil {
				return err
			}
		}
		for _, q := range ours {
			for _, a := range own {
				if a.Prefix.Addr() == q.Target {
					inUse.Strangers = append(inUse.Strangers, Stranger{j.IfName, q.Target, j.below.MAC.String()})
				}
			}
		}
		questions, name[j.inside.Index] = append(questions, ours...), j.IfName
	}
	if len(inUse.Strangers) > 0 {
		return inUse
	}
	seen, err := t.ask(ctx, t.ns, questions, probeTimes, probeWait)
	if err != nil || len(seen) == 0 {
		return err
	}
	for _, s := range seen {
		inUse.Strangers = append(inUse.Strangers, Stranger{name[s.Index], s.Target, s.MAC.String()})
	}
	return inUse
}

// probes are the questions for an interface's addresses.
func (j *job) probes() (all []wire.Question) {
	for _, a := range j.addresses {
		if a.Probe {
			all = append(all, wire.Question{Index: j.inside.Index, MAC: j.inside.MAC, Target: a.Prefix.Addr()})
		}
	}
	return all
}

// ask asks inside a namespace. The socket is closed when nobody waits.
func (w *Wirer) ask(ctx context.Context, ns *netns.Namespace, questions []wire.Question, times int, wait time.Duration) ([]wire.Sighting, error) {
	if len(questions) == 0 {
		return nil, nil
	}
	var asker *wire.Asker
	if err := ns.Do(func() (err error) {
		asker, err = wire.AskHere(questions)
		return err
	}); err != nil {
		return nil, err
	}
	seen, err := asker.Ask(ctx, times, wait)
	w.tasks.Go(func() { asker.Close() })
	return seen, err
}

// Seek asks the segment of an interface that is wired who else has addresses: its own, or ones that it does not have and will not take.
// The latter are asked for in the interface's name, so that nobody who is about to take one thinks that it is. An error means that
// nothing is known.
func (w *Wirer) Seek(ctx context.Context, nsPath string, of Record, addresses []netip.Addr) ([]Stranger, error) {
	from := func(target netip.Addr) (own netip.Addr) {
		for _, a := range of.Addresses {
			if a.Prefix.Addr() == target {
				return netip.Addr{} // nobody answers a question that seems to be its own
			}
			if a.Prefix.Addr().Is4() == target.Is4() {
				own = a.Prefix.Addr()
			}
		}
		return own
	}
	return w.seek(ctx, nsPath, of, addresses, from, 1, probeWait)
}

// gatewayWait is how long a gateway may take to answer, gatewayTimes how often it is asked.
const (
	gatewayWait  = time.Second
	gatewayTimes = 3
)

// Gateways asks the gateways of an interface that is wired, and gives those that do not answer.
func (w *Wirer) Gateways(ctx context.Context, nsPath string, of Record, gateways []netip.Addr) (silent []netip.Addr, err error) {
	from := func(gateway netip.Addr) (own netip.Addr) {
		for _, a := range of.Addresses {
			if a.Prefix.Addr().Is4() == gateway.Is4() && (!own.IsValid() || a.Prefix.Contains(gateway)) {
				own = a.Prefix.Addr()
			}
		}
		return own
	}
	seen, err := w.seek(ctx, nsPath, of, gateways, from, gatewayTimes, gatewayWait)
	if err != nil {
		return nil, err
	}
	for _, gw := range gateways {
		answered := false
		for _, s := range seen {
			answered = answered || s.Address == gw
		}
		if !answered {
			silent = append(silent, gw)
		}
	}
	return silent, nil
}

// seek asks from an interface that is wired, as the address that from gives for a target, or as nobody.
func (w *Wirer) seek(ctx context.Context, nsPath string, of Record, targets []netip.Addr, from func(netip.Addr) netip.Addr, times int, wait time.Duration) ([]Stranger, error) {
	mac, err := net.ParseMAC(of.MAC)
	if err != nil {
		return nil, fmt.Errorf("ask from interface %s: %w", of.IfName, err)
	}
	ns, err := w.sandbox(nsPath)
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	var questions []wire.Question
	for _, a := range targets {
		questions = append(questions, wire.Question{Index: of.IfIndex, MAC: mac, Target: a, From: from(a)})
	}
	seen, err := w.ask(ctx, ns, questions, times, wait)
	if err != nil {
		return nil, err
	}
	var found []Stranger
	for _, s := range seen {
		found = append(found, Stranger{of.IfName, s.Target, s.MAC.String()})
	}
	return found, nil
}
