package attach

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tsunagu-net/tsunagu/attach/kind"
	"github.com/tsunagu-net/tsunagu/attach/shimrpc"
	"github.com/tsunagu-net/tsunagu/ipam"
)

// mostEvasions is how many times an ADD turns to other addresses, because strangers have those that it got. The addresses stay in
// quarantine, so the next ADD goes on from there.
const mostEvasions = 8

// evade deals with strangers that have addresses of an ADD whose wiring was undone: addresses that were not asked for are kept from
// everybody and given up, so that the next attempt gets others. An address that was asked for is refused, for no other will do; who asks
// for it again looks whether the stranger is still there.
func (s *Server) evade(ctx context.Context, record Record, plan []planned, met kind.AddressInUse, try int) error {
	var refusals []error
	for _, stranger := range met.Strangers {
		p := named(plan, stranger.IfName)
		want, pool, managed := p.source(stranger.Address)
		what := fmt.Sprintf("address %s of interface %s is in use on the segment (%s) by a stranger with MAC %s", stranger.Address, stranger.IfName, p.net.Spec.Segment(), stranger.MAC)
		if !managed || want.Static == stranger.Address || want.Claim != nil {
			s.Meter.Stranger(pool.Name, "refused")
			if managed && want.Claim == nil {
				s.shun(stranger, pool) // so that no Pod to whom any would do runs into it
			}
			refusals = append(refusals, &Refusal{Reason: ipam.Conflict, Code: shimrpc.CodeTryAgainLater, Message: p.where() + ": " + what,
				Fix: "find the machine with that MAC and take the address from it, or ask for another address"})
			continue
		}
		s.Meter.Stranger(pool.Name, "avoided")
		s.Events.Warn(record.pod(), ipam.Conflict, fmt.Sprintf("%s: the Pod gets another, this one is given to nobody for %s. "+
			"To fix: find the machine with that MAC and take the address from it, or exclude the address from pool %s", what, quarantine(pool), pool.Name))
		if err := s.Addresses.Quarantine(strangerOf(stranger, pool)); err != nil {
			return err
		}
	}
	if err := errors.Join(refusals...); err != nil {
		return err
	}
	for i := range plan {
		s.believe(met, &plan[i])
	}
	if try == mostEvasions {
		return &Refusal{Reason: ipam.Conflict, Code: shimrpc.CodeTryAgainLater, Message: fmt.Sprintf("strangers have %d addresses in a row, the last being: %v", try, met),
			Fix: met.Fix()}
	}
	for _, stranger := range met.Strangers {
		if err := s.yieldAddresses(ctx, record, named(plan, stranger.IfName)); err != nil {
			return err
		}
	}
	return nil
}

// shun keeps an address that was asked for from Pods that ask for any.
func (s *Server) shun(stranger kind.Stranger, pool ipam.Pool) {
	if err := s.Addresses.Quarantine(strangerOf(stranger, pool)); err != nil {
		s.Log.Warn("an address that a stranger uses is not in quarantine yet", "address", stranger.Address, "mac", stranger.MAC, "err", err)
	}
}

// believe notes the addresses of an attempt that were asked for too and that nobody has.
func (s *Server) believe(met kind.AddressInUse, p *planned) {
	segment := p.net.Spec.Segment()
	if segment == "" {
		return
	}
	for _, g := range p.grants {
		had := false
		for _, stranger := range met.Strangers {
			had = had || stranger.Address == g.Address.Addr()
		}
		if !had {
			s.verdicts.note(place{segment, g.Address.Addr()}, true)
		}
	}
}

// named finds the planned interface of a name.
func named(plan []planned, ifName string) *planned {
	for i := range plan {
		if plan[i].sel.IfName == ifName {
			return &plan[i]
		}
	}
	return &plan[0]
}

// strangerOf is a stranger as ipam knows one.
func strangerOf(s kind.Stranger, pool ipam.Pool) ipam.Stranger {
	return ipam.Stranger{Address: s.Address, Domain: pool.Domain, Pool: pool.Name, MAC: s.MAC, Local: pool.Local, Seen: time.Now(), Lasts: quarantine(pool)}
}

func quarantine(pool ipam.Pool) time.Duration {
	if pool.Quarantine > 0 {
		return pool.Quarantine
	}
	return ipam.DefaultQuarantine // a pool that is written out in a definition has no policy
}
