package admission

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/attach"
	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/kube/vlan"
)

// network judges a Network.
func (d *Desk) network(ctx context.Context, next, old *v1alpha1.Network) (verdict, error) {
	if next == nil {
		return d.networkGoes(ctx, old)
	}
	if old != nil && equality.Semantic.DeepEqual(next.Spec, old.Spec) || next.DeletionTimestamp != nil {
		return verdict{}, nil
	}
	var v verdict
	var used []claimed
	if len(next.Spec.Subnets) > 0 {
		used = d.used(ctx)
	}
	for i, s := range next.Spec.Subnets {
		who := fmt.Sprintf("Network %s: spec.subnets[%d]", next.Name, i)
		p, err := parseSubnet(next.Name, s)
		if err != nil {
			r := attach.Refused(err)
			r.Message = strings.Replace(r.Message, "IPPool "+p.Name+": spec.", who+".", 1)
			return verdict{denied: r.Note()}, nil
		}
		v.warnings = append(v.warnings, d.subnet(ctx, who, p, false)...)
		v.warnings = append(v.warnings, overlaps(who, p, used)...)
		v.warnings = append(v.warnings, d.fallbacks(ctx, who, p)...)
		if old != nil {
			v.warnings = append(v.warnings, d.shrinks(ctx, who, p)...)
		}
	}
	if taken, is := errors.AsType[vlan.Taken](vlan.Owns(ctx, d.Cached, next)); is {
		v.warn("Network %s: %v", next.Name, taken)
	}
	v.warnings = append(v.warnings, d.permits(ctx, next)...)
	if old != nil {
		v.warnings = append(v.warnings, d.subnetsGo(ctx, old, func(s v1alpha1.Subnet) bool { return hasSubnet(next, s.CIDR) })...)
	}
	return v, nil
}

// parseSubnet reads a subnet as the IPPool that it becomes.
func parseSubnet(network string, s v1alpha1.Subnet) (ipam.Pool, error) {
	o := v1alpha1.IPPool{Spec: v1alpha1.IPPoolSpec{Domain: network, Subnet: s}}
	o.Name = network
	if prefix, err := netip.ParsePrefix(s.CIDR); err == nil {
		o.Name = ipam.PoolName(network, prefix)
	}
	p, err := ipam.ParsePool(o)
	if err != nil {
		p.Name = o.Name
	}
	return p, err
}

func hasSubnet(net *v1alpha1.Network, cidr string) bool {
	for _, s := range net.Spec.Subnets {
		if s.CIDR == cidr {
			return true
		}
	}
	return false
}

// permits warns of namespaces that cannot be meant.
func (d *Desk) permits(ctx context.Context, net *v1alpha1.Network) []string {
	want := net.Spec.Namespaces
	if want == nil {
		return nil
	}
	var v verdict
	if want.Selector != nil {
		if _, err := metav1.LabelSelectorAsSelector(want.Selector); err != nil {
			v.warn("Network %s: spec.namespaces.selector: %v. To fix: correct the selector; until then the Network is published nowhere", net.Name, err)
		}
	}
	known := d.namespaces(ctx)
	for _, name := range want.Names {
		if known != nil && !known[name] {
			v.warn("Network %s: spec.namespaces.names: namespace %s does not exist (yet)", net.Name, name)
		}
	}
	return v.warnings
}

// subnetsGo warns of subnets that end while their addresses are in use.
func (d *Desk) subnetsGo(ctx context.Context, net *v1alpha1.Network, kept func(v1alpha1.Subnet) bool) []string {
	var v verdict
	for _, s := range net.Spec.Subnets {
		p, err := parseSubnet(net.Name, s)
		if err != nil || kept(s) {
			continue
		}
		if used, outside, err := d.Books.Count(ctx, p); err == nil && used+int64(len(outside)) > 0 {
			v.warn("Network %s: subnet %s is removed while %s in use. They stay with their Pods until these end; new Pods get none of it",
				net.Name, p.Prefix, counted(used+int64(len(outside))))
		}
	}
	return v.warnings
}

// networkGoes judges the deletion of a Network.
func (d *Desk) networkGoes(ctx context.Context, old *v1alpha1.Network) (verdict, error) {
	return verdict{warnings: d.subnetsGo(ctx, old, func(v1alpha1.Subnet) bool { return false })}, nil
}
