package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"time"
)

// On a control-plane node the members are the API servers. A worker asks them which those are, at the nodes' port by TCP; what it hears
// may be wrong and can refuse service only, as the API servers prove themselves.

// relist is how often the list of API servers is looked at.
const relist = 2 * time.Second

func (n *node) followServers(ctx context.Context) {
	tick := time.NewTicker(relist)
	defer tick.Stop()
	for {
		n.findServers(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// knowServers adds those that are configured to those of a former run, before anybody was asked.
func (n *node) knowServers() error {
	local, all := netip.AddrPort{}, slices.Clone(n.servers)
	if n.agent != nil {
		local = netip.AddrPortFrom(n.place.Own, n.apiPort)
		all = append(all, local)
		for _, p := range n.peers {
			all = append(all, netip.AddrPortFrom(p, n.apiPort))
		}
	}
	all = append(all, n.proxy.Known()...)
	slices.SortFunc(all, netip.AddrPort.Compare)
	return n.proxy.SetServers(local, slices.Compact(all))
}

func (n *node) findServers(ctx context.Context) {
	local := netip.AddrPort{}
	all := slices.Clone(n.servers)
	if n.agent != nil {
		local = netip.AddrPortFrom(n.place.Own, n.apiPort)
		all = append(all, local)
		for _, m := range n.members(ctx) {
			all = append(all, netip.AddrPortFrom(m, n.apiPort))
		}
	} else {
		heard := n.askServers(ctx)
		if heard == nil { // nobody answers: what is known stays
			heard = n.proxy.Known()
		}
		all = append(all, heard...)
	}
	slices.SortFunc(all, netip.AddrPort.Compare)
	if err := n.proxy.SetServers(local, slices.Compact(all)); err != nil {
		n.log.Warn("the API servers are known until the next start only", "err", err)
	}
}

// members are the control-plane nodes, as far as they are known now.
func (n *node) members(ctx context.Context) (all []netip.Addr) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	s, err := n.agent.Look(ctx)
	if err != nil {
		return nil
	}
	all = slices.Clone(n.namedServers())
	for _, m := range s.Members {
		a, err := netip.ParseAddr(m.Address)
		if err != nil || a.IsLinkLocalUnicast() || !m.Self && m.SilentMS >= 0 && m.Weight == 0 {
			continue // a witness
		}
		if !slices.Contains(all, a) {
			all = append(all, a)
		}
	}
	return all
}

// namedServers are the nodes that --peers names, where that is all that is known of them: VRRP has no list of members, and with a routing table
// nobody says anything.
func (n *node) namedServers() []netip.Addr {
	if n.mode == byLeaseMode {
		return nil
	}
	return n.peers
}

// listing is what control-plane nodes tell workers.
type listing struct {
	Servers []netip.AddrPort `json:"servers"`
}

func (n *node) tellServers(w http.ResponseWriter, r *http.Request) {
	answer := listing{Servers: []netip.AddrPort{netip.AddrPortFrom(n.place.Own, n.apiPort)}}
	for _, m := range n.members(r.Context()) {
		if at := netip.AddrPortFrom(m, n.apiPort); !slices.Contains(answer.Servers, at) {
			answer.Servers = append(answer.Servers, at)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

// askServers asks the known ones in turn; nil means that none answers.
func (n *node) askServers(ctx context.Context) []netip.AddrPort {
	ctx, cancel := context.WithTimeout(ctx, relist)
	defer cancel()
	asked := map[netip.Addr]bool{}
	for _, at := range n.proxy.Known() {
		if asked[at.Addr()] {
			continue
		}
		asked[at.Addr()] = true
		if heard, err := askOne(ctx, netip.AddrPortFrom(at.Addr(), n.port)); err == nil {
			return heard
		}
	}
	return nil
}

func askOne(ctx context.Context, at netip.AddrPort) ([]netip.AddrPort, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second/2)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(at.Addr().String(), fmt.Sprint(at.Port()))+"/servers", nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	var heard listing
	if err := json.NewDecoder(http.MaxBytesReader(nil, answer.Body, 64<<10)).Decode(&heard); err != nil || answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask %s which API servers there are: %s: %w", at, answer.Status, err)
	}
	return slices.DeleteFunc(heard.Servers, func(s netip.AddrPort) bool { return !s.IsValid() }), nil
}
