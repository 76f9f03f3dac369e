package attach

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/attach/kind"
	"github.com/tsunagu-net/tsunagu/attach/shimrpc"
)

// ReasonGatewaySilent is the reason of a gateway that does not answer.
const ReasonGatewaySilent = "GatewaySilent"

// checked are the gateways of an interface that the pools want asked for: those without which the Pod is not attached, or those that
// people are only warned of.
func (p *planned) checked(required bool) (gateways []netip.Addr) {
	if p.net.Spec.Type() == "pod" || p.net.Spec.Type() == "ptp" {
		return nil // the node is the gateway
	}
	check := v1alpha1.GatewayWarn
	if required {
		check = v1alpha1.GatewayRequire
	}
	for _, g := range p.grants {
		_, pool, managed := p.source(g.Address.Addr())
		if managed && pool.GatewayCheck == check && g.Gateway.IsValid() && !slices.Contains(gateways, g.Gateway) {
			gateways = append(gateways, g.Gateway)
		}
	}
	return gateways
}

// requireGateways refuses a Pod whose gateway does not answer, if its pool says so.
func (s *Server) requireGateways(ctx context.Context, record Record, plan []planned) error {
	errs := make([]error, len(plan))
	var all sync.WaitGroup
	for i := range plan {
		w, gateways := record.Interfaces[i], plan[i].checked(true)
		if len(gateways) == 0 {
			continue
		}
		all.Go(func() {
			silent, err := s.Wirer.Gateways(ctx, record.NetNS, w, gateways)
			if err == nil && len(silent) > 0 {
				r := gatewaySilent(&plan[i], w, silent)
				r.Message, err = plan[i].where()+": "+r.Message, r
			}
			errs[i] = err
		})
	}
	all.Wait()
	return foremost(errs)
}

// warnOfGateways does so beside the ADD.
func (s *Server) warnOfGateways(record Record, plan []planned) {
	for i := range plan {
		w, gateways := record.Interfaces[i], plan[i].checked(false)
		if len(gateways) == 0 {
			continue
		}
		s.ahead.tasks.Go(func() {
			silent, err := s.Wirer.Gateways(s.reports.ctx, record.NetNS, w, gateways)
			if err != nil {
				s.Log.Debug("look for gateways", "pod", record.pod().String(), "err", err)
			} else if len(silent) > 0 {
				r := gatewaySilent(&plan[i], w, silent)
				s.Events.Warn(record.pod(), r.Reason, r.note())
			}
		})
	}
}

func gatewaySilent(p *planned, w kind.Wired, silent []netip.Addr) *Refusal {
	return &Refusal{Reason: ReasonGatewaySilent, Code: shimrpc.CodeTryAgainLater,
		Message: fmt.Sprintf("gateway %s of network %s does not answer on interface %s", joinedAddrs(silent), p.net.Ref, w.IfName),
		Fix:     "check the gateway, the VLAN and the uplink of this node, or correct the pool's gateway; gatewayCheck of the pool says whether this matters"}
}

func joinedAddrs(all []netip.Addr) string {
	var words []string
	for _, a := range all {
		words = append(words, a.String())
	}
	return joined(words)
}
