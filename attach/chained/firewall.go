package chained

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"github.com/tsunagu-net/tsunagu/attach/kind"
	"github.com/tsunagu-net/tsunagu/kernel/iptables"
)

// Firewall lets the Pod's packets through the node's filter, and keeps other bridges out.
type Firewall struct {
	// Admin is a chain of the node's administrator, which comes first.
	Admin string
	// Ingress says who may come from other interfaces of the node.
	Ingress Ingress
}

// Ingress is ingressPolicy.
type Ingress string

// Ingress policies.
const (
	Open       Ingress = "open"
	SameBridge Ingress = "same-bridge"
	Isolated   Ingress = "isolated"
)

// Type is the plugin's name.
func (Firewall) Type() string { return "firewall" }

// adminChain is the plugin's own.
const adminChain = "CNI-ADMIN"

func parseFirewall(raw []byte) (Spec, error) {
	f := readFields("firewall", "", raw)
	s := Firewall{Admin: adminChain, Ingress: Open}
	var backend, zone string
	f.into("backend", "a text", &backend)
	f.into("firewalldZone", "a text", &zone)
	f.into("iptablesAdminChainName", "a text", &s.Admin)
	f.into("ingressPolicy", "a text", &s.Ingress)
	switch {
	case !slices.Contains([]string{"", "iptables", "firewalld"}, backend):
		f.fail("backend", "want iptables or firewalld, have %q", backend)
	case s.Ingress == "":
		s.Ingress = Open
	case !slices.Contains([]Ingress{Open, SameBridge, Isolated}, s.Ingress):
		f.fail("ingressPolicy", "unknown ingress policy: %q, want one of open, same-bridge, isolated", s.Ingress)
	}
	if s.Admin == "" {
		s.Admin = adminChain
	}
	if !chainName(s.Admin) {
		f.fail("iptablesAdminChainName", "%q cannot be the name of a chain", s.Admin)
	}
	if err := f.end(); err != nil {
		return s, err
	}
	if backend == "firewalld" {
		return s, Elsewhere{"firewall", "backend", "is firewalld"}
	}
	return s, nil
}

// chainName tells whether iptables takes a name (28 bytes at most), and its input has it as one word.
func chainName(name string) bool {
	for _, c := range name {
		if c <= ' ' || c > '~' || c == '"' || c == '\'' || c == '\\' {
			return false
		}
	}
	return name != "" && len(name) <= 28 && name[0] != '-' && name[0] != '!' && name[0] != ':' && name[0] != '#'
}

// letThrough writes the rules of the Pod's addresses, and gives these.
func (r *Runner) letThrough(ctx context.Context, c Call, s Firewall) (json.RawMessage, error) {
	if err := r.firewalld(); err != nil {
		return nil, err
	}
	bridge := c.nodeEnd()
	if s.Ingress != Open && bridge == "" {
		return nil, kind.BadConfig{Type: "firewall", Field: "ingressPolicy", Message: fmt.Sprintf("interface needs to be set for ingress policy %q, and %s is a %s, which has no end on the node", s.Ingress, c.IfName, c.Wired.Type),
			Hint: `make sure to chain "firewall" plugin with "bridge"`}
	}
	var all []netip.Addr
	for _, a := range c.Wired.Addresses {
		all = append(all, a.Prefix.Addr())
	}
	r.filters.Lock()
	defer r.filters.Unlock()
	for _, v6 := range []bool{false, true} {
		own := ofFamily(all, v6)
		if len(own) == 0 {
			continue
		}
		t := r.filter(v6)
		have, err := t.Rules(ctx)
		if err == nil {
			err = t.Apply(ctx, s.missing(have, bridge, own)...)
		}
		if missing, ok := errors.AsType[iptables.Missing](err); ok {
			err = kind.BadConfig{Type: "firewall", Field: "backend", Message: missing.Error(), Hint: "install iptables on the node, or take firewall out of the list"}
		}
		if err != nil {
			return nil, errors.Join(err, r.holdBack(ctx, all))
		}
	}
	return json.Marshal(all)
}

func ofFamily(all []netip.Addr, v6 bool) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(all), func(a netip.Addr) bool { return a.Is6() != v6 })
}

func (r *Runner) filter(v6 bool) iptables.Filter {
	return iptables.Filter{Root: r.Root, NS: r.Node, IPv6: v6}
}

// firewalld refuses where it runs: its own rules would drop what is let through here.
func (r *Runner) firewalld() error {
	if _, err := os.Stat(filepath.Join(r.Root, "/run/firewalld.pid")); err != nil || r.Node != nil {
		return nil
	}
	return kind.BadConfig{Type: "firewall", Field: "backend", Message: "firewalld runs on this node, and only the plugin speaks to it",
		Hint: `set "backend": "firewalld", so that the node's plugin is executed, or "iptables" and stop firewalld`}
}

// letBack takes the rules away. Without a state it is not known for which addresses; those that are left let through who has the address next, whom this
// plugin lets through as well.
func (r *Runner) letBack(ctx context.Context, c Call, state json.RawMessage) error {
	var all []netip.Addr
	if len(state) > 0 {
		_ = json.Unmarshal(state, &all) // it is ours
	} else {
		for _, a := range c.Wired.Addresses {
			all = append(all, a.Prefix.Addr())
		}
	}
	r.filters.Lock()
	defer r.filters.Unlock()
	return r.holdBack(ctx, all)
}

func (r *Runner) holdBack(ctx context.Context, all []netip.Addr) error {
	var errs []error
	for _, v6 := range []bool{false, true} {
		own := ofFamily(all, v6)
		if len(own) == 0 {
			continue
		}
		t := r.filter(v6)
		have, err := t.Rules(ctx)
		if _, ok := errors.AsType[iptables.Missing](err); ok {
			continue // nothing can be there
		}
		var gone []string
		for _, a := range own {
			for _, rule := range through(a) {
				if slices.Contains(have, "-A "+rule) {
					gone = append(gone, "-D "+rule)
				}
			}
		}
		if err == nil {
			err = t.Apply(ctx, gone...)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (r *Runner) checkThrough(ctx context.Context, c Call, s Firewall, state json.RawMessage) error {
	var all []netip.Addr
	_ = json.Unmarshal(state, &all)
	for _, v6 := range []bool{false, true} {
		own := ofFamily(all, v6)
		if len(own) == 0 {
			continue
		}
		have, err := r.filter(v6).Rules(ctx)
		if err != nil {
			return err
		}
		if m := s.missing(have, c.nodeEnd(), own); len(m) > 0 {
			return kind.Mismatch{IfName: c.IfName, What: "a rule of iptables", Want: m[0], Have: "missing"}
		}
	}
	return nil
}
