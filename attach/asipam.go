package attach

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"

	"github.com/tsunagu-net/tsunagu/attach/shimrpc"
	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// mainType is the plugin's type in configurations in which tsunagu makes the interfaces (install.ShimName).
const mainType = "tsunagu-cni"

// asIPAM tells whether the shim was called as the IPAM plugin of another one. That one hands on its own configuration (CNI spec 1.1.0
// section 4), so "type" names it and not us, while ipam.type names what we were executed as. A runtime that calls us as the main
// plugin executes us because "type" names us.
func asIPAM(pluginType, ipamType string) bool {
	switch ipamType {
	case ipam.TypeTsunagu, ipam.TypeWhereabouts, ipam.TypeStatic, ipam.TypeHostLocal:
		return pluginType != "" && pluginType != mainType
	}
	return false
}

// ipamRequest is what an IPAM plugin reads of a configuration, besides ipam itself.
type ipamRequest struct {
	section json.RawMessage
	// ips are asked for: runtimeConfig.ips, else args.cni.ips, else IP of CNI_ARGS.
	ips []string
}

// asked reads the addresses asked for, each once: Multus says them in two places.
func (i ipamRequest) asked() ([]RequestedIP, error) {
	var all []RequestedIP
	for _, text := range i.ips {
		ip, err := parseIP(strings.TrimSpace(text))
		if err != nil {
			return nil, refusef(ReasonBadAddress, "ask for an address, or address/length", "address %q is asked for: %v", text, err)
		}
		if !slices.ContainsFunc(all, func(o RequestedIP) bool { return o.Addr == ip.Addr }) {
			all = append(all, ip)
		}
	}
	return all, nil
}

// ipamVerb answers a call as an IPAM plugin does.
func (s *Server) ipamVerb(ctx context.Context, r *request) ([]byte, error) {
	switch r.Command {
	case "ADD":
		return s.loanAdd(ctx, r)
	case "DEL":
		return nil, s.loanDel(ctx, r)
	case "CHECK":
		return nil, s.loanCheck(r)
	case "GC":
		return nil, s.loanGC(ctx, r)
	case "STATUS":
		return nil, s.status()
	}
	return shimrpc.VersionJSON(r.version), nil
}

// loanAdd takes the addresses of an interface that another plugin makes.
func (s *Server) loanAdd(ctx context.Context, r *request) ([]byte, error) {
	one := loan{ContainerID: r.ContainerID, IfName: r.IfName, Network: r.network, NetNS: r.NetNS, Since: time.Now()}
	release, err := s.sandboxes.take(ctx, one.turn())
	if err != nil {
		return nil, err
	}
	defer release()
	if old, ok := s.loans.get(one.key()); ok && old.Gone && r.Started != 0 && r.Started < old.Deleted {
		return nil, &Refusal{Reason: ReasonDeleted, Message: "the interface was deleted while this call waited", Code: shimrpc.CodeTryAgainLater}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.sandboxes.interruptible(one.turn(), cancel)
	defer s.sandboxes.interruptible(one.turn(), nil)
	pod := Pod{Namespace: r.pod.Namespace, Name: r.pod.Name, UID: r.pod.UID}
	if found, err := s.Pods.Pod(ctx, pod.Namespace, pod.Name, pod.UID); err == nil {
		pod = found // else it goes without: the address is not the Pod object's
	}
	out, err := s.lend(ctx, r, one, pod)
	if err != nil {
		return nil, s.refuse(ctx, pod, err)
	}
	return out, nil
}

func (s *Server) lend(ctx context.Context, r *request, one loan, pod Pod) ([]byte, error) {
	config, err := ipam.ParseConfig(r.ipam.section)
	if err != nil {
		return nil, err
	}
	p := planned{sel: Selection{IfName: r.IfName, Name: r.network, Namespace: pod.Namespace}, net: Network{Ref: r.network, Name: r.network, IPAM: config.OfNetwork(r.network, false)}}
	if p.sel.IPs, err = r.ipam.asked(); err != nil {
		return nil, err
	}
	if p.wants, p.fixed, err = p.sel.wants(ctx, p.net, s.Pools); err != nil {
		return nil, err
	}
	ns, err := netns.Open(r.NetNS)
	if err != nil {
		return nil, refusef("NoNamespace", "none needed if the Pod was just deleted", "open the network namespace %s: %v", r.NetNS, err)
	}
	one.NetNSID = ns.ID()
	ns.Close()
	if err := s.loans.put(one); err != nil {
		return nil, err
	}
	owner := Record{ContainerID: r.ContainerID, Namespace: pod.Namespace, Pod: pod.Name, UID: pod.UID}
	if err := s.takeAddresses(ctx, owner, &p); err != nil {
		return nil, errors.Join(err, s.unloan(context.WithoutCancel(ctx), one, 0))
	}
	return ipamResult(r.version, p.grants, config.DNS)
}

// unloan frees what an interface has; it is gone.
func (s *Server) unloan(ctx context.Context, one loan, started int64) error {
	if err := s.Addresses.Free(ctx, one.key()); err != nil {
		return err
	}
	s.Addresses.FreeImported(one.ContainerID, one.IfName)
	return s.loans.put(loan{ContainerID: one.ContainerID, IfName: one.IfName, Network: one.Network, Since: time.Now(), Gone: true, Deleted: max(started, one.Deleted)})
}

// loanDel frees the addresses; it may be said any number of times, also of an interface that nobody knows.
func (s *Server) loanDel(ctx context.Context, r *request) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), longestCall)
	defer cancel()
	one := loan{ContainerID: r.ContainerID, IfName: r.IfName, Network: r.network}
	s.sandboxes.interrupt(one.turn(), errDeleted)
	release, err := s.sandboxes.take(ctx, one.turn())
	if err != nil {
		return err
	}
	defer release()
	if old, ok := s.loans.get(one.key()); ok {
		one.Deleted = old.Deleted
	}
	return s.unloan(ctx, one, r.Started)
}

// loanCheck looks whether the interface has its addresses.
func (s *Server) loanCheck(r *request) error {
	key := ipam.Key{ContainerID: r.ContainerID, IfName: r.IfName}
	if s.loans.has(key) {
		return nil
	}
	return &Refusal{Reason: "UnknownSandbox", Code: shimrpc.CodeUnknownContainer,
		Message: fmt.Sprintf("interface %s of sandbox %.13s has no addresses of tsunagu", r.IfName, r.ContainerID), Fix: "delete the Pod; its replacement gets some"}
}

// loanGC frees what the runtime does not have any more of this network (CNI spec 1.1.0, GC).
func (s *Server) loanGC(ctx context.Context, r *request) error {
	if r.valid == nil {
		return s.gc(ctx, r) // which says what is missing
	}
	began := time.Now()
	var errs []error
	for _, one := range s.loans.list() {
		valid := slices.Contains(r.valid, validAttachment{one.ContainerID, one.IfName})
		if one.Gone || valid || one.Network != r.network || one.Since.After(began) {
			continue
		}
		errs = append(errs, s.tidyLoan(ctx, one, "runtime"))
	}
	if err := errors.Join(errs...); err != nil {
		return &Refusal{Reason: ReasonInternal, Message: err.Error(), Fix: "none needed, the runtime tries again", Code: shimrpc.CodeTryAgainLater}
	}
	return nil
}

// tidyLoan frees one that nobody works on, if it is still the same.
func (s *Server) tidyLoan(ctx context.Context, one loan, why string) error {
	release, ok := s.sandboxes.try(one.turn())
	if !ok {
		return nil
	}
	defer release()
	if now, ok := s.loans.get(one.key()); !ok || now != one {
		return nil
	}
	s.Log.Info("swept the addresses of an interface that another plugin made", "interface", one.key().String(), "because", why)
	return s.unloan(ctx, one, 0)
}

// sweepLoans frees addresses of interfaces whose namespace is gone, and forgets what was freed long ago.
func (s *Server) sweepLoans(ctx context.Context, seen map[string]bool) error {
	var errs []error
	for _, one := range s.loans.list() {
		if one.Gone {
			if time.Since(one.Since) < memory {
				continue
			}
			if release, ok := s.sandboxes.try(one.turn()); ok {
				errs = append(errs, s.loans.drop(one))
				release()
			}
			continue
		}
		gone, err := netns.Gone(one.NetNS, one.NetNSID)
		if err != nil {
			errs = append(errs, fmt.Errorf("look for the namespace of interface %s: %w", one.key(), err))
		} else if gone && s.abandoned(one.turn(), seen) {
			errs = append(errs, s.tidyLoan(ctx, one, "its namespace is gone"))
		}
	}
	return errors.Join(errs...)
}

// ipamResult is an IPAM plugin's result: addresses, routes and DNS, no interfaces (CNI spec 1.1.0 section 4).
func ipamResult(version string, grants []ipam.Grant, dns ipam.DNS) ([]byte, error) {
	r := &types100.Result{CNIVersion: types100.ImplementedSpecVersion,
		DNS: types.DNS{Nameservers: dns.Nameservers, Domain: dns.Domain, Search: dns.Search, Options: dns.Options}}
	for _, g := range grants {
		ip := &types100.IPConfig{Address: ipNet(g.Address)}
		if g.Gateway.IsValid() {
			ip.Gateway = g.Gateway.AsSlice()
		}
		r.IPs = append(r.IPs, ip)
		for _, route := range g.Routes {
			to := &types.Route{Dst: ipNet(route.Dst.Masked()), MTU: route.MTU, AdvMSS: route.AdvMSS, Priority: route.Priority, Scope: route.Scope}
			if route.Table != 0 {
				to.Table = &route.Table
			}
			if route.Gateway.IsValid() {
				to.GW = route.Gateway.AsSlice()
			}
			if !slices.ContainsFunc(r.Routes, func(o *types.Route) bool { return o.String() == to.String() }) {
				r.Routes = append(r.Routes, to)
			}
		}
	}
	as, err := r.GetAsVersion(version)
	if err != nil {
		return nil, fmt.Errorf("render the result in CNI %s: %w", version, err)
	}
	raw, err := json.MarshalIndent(as, "", "    ")
	if err != nil {
		return nil, fmt.Errorf("render the result in CNI %s: %w", version, err)
	}
	return append(raw, '\n'), nil
}
