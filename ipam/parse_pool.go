package ipam

import (
	"fmt"
	"math/bits"
	"net/netip"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

// DefaultDomain is the domain of pools that name none.
const DefaultDomain = "default"

// ParsePool turns an IPPool object into a Pool. Errors name the field, its
// value and what would be right.
func ParsePool(object v1alpha1.IPPool) (Pool, error) {
	spec := object.Spec
	wrong := func(field, value string, err error) (Pool, error) {
		return Pool{}, bad(fmt.Sprintf("IPPool %s: %s %q: %v", object.Name, field, value, err), "correct the IPPool")
	}
	if spec.Domain == "" {
		spec.Domain = DefaultDomain
	}
	if !isLabel(spec.Domain) {
		return wrong("spec.domain", spec.Domain, errLabel)
	}
	if spec.Domain == PodDomain {
		return wrong("spec.domain", spec.Domain, fmt.Errorf("is the domain of the pod network itself: choose another"))
	}
	if IsQuota(spec.Domain) {
		return wrong("spec.domain", spec.Domain, fmt.Errorf("domains that begin with %s are those of quotas: choose another", quotaPrefix))
	}
	if n := spec.BlockSize; n < 0 || n > 64 || n != 0 && bits.OnesCount32(uint32(n)) != 1 {
		return wrong("spec.blockSize", fmt.Sprint(n), fmt.Errorf("must be 0 or a power of two from 1 to 64"))
	}
	p, field, value, err := parseSubnet(spec.Subnet)
	if err != nil {
		return wrong("spec."+field, value, err)
	}
	p.Name, p.Domain, p.BlockSize = object.Name, spec.Domain, int(spec.BlockSize)
	return p.parsed(), nil
}

// parseSubnet reads the part of a pool that Networks have too.
func parseSubnet(s v1alpha1.Subnet) (p Pool, field, value string, err error) {
	if p.Prefix, err = parsePrefix(s.CIDR); err != nil {
		return p, "cidr", s.CIDR, err
	}
	if p.Prefix != p.Prefix.Masked() {
		return p, "cidr", s.CIDR, fmt.Errorf("has bits set behind its prefix length: write %s", p.Prefix.Masked())
	}
	for i, text := range s.Ranges {
		r, err := ParseRange(text)
		if err == nil && !(p.Prefix.Contains(r.First) && p.Prefix.Contains(r.Last)) {
			err = fmt.Errorf("lies outside cidr %s", p.Prefix)
		}
		if err != nil {
			return p, fmt.Sprintf("ranges[%d]", i), text, err
		}
		p.Ranges = append(p.Ranges, r)
	}
	for i, text := range s.Exclude {
		r, err := ParseRange(text)
		if err == nil && r.First.BitLen() != p.Prefix.Addr().BitLen() {
			err = fmt.Errorf("is of another address family than cidr %s", p.Prefix)
		}
		if err != nil {
			return p, fmt.Sprintf("exclude[%d]", i), text, err
		}
		p.Exclude = append(p.Exclude, r)
	}
	for i, text := range s.StaticRanges {
		r, err := ParseRange(text)
		if err == nil && !(p.Prefix.Contains(r.First) && p.Prefix.Contains(r.Last)) {
			err = fmt.Errorf("lies outside cidr %s", p.Prefix)
		}
		if err != nil {
			return p, fmt.Sprintf("staticRanges[%d]", i), text, err
		}
		p.Statics = append(p.Statics, r)
	}
	if p.Policy, field, value, err = parsePolicy(s.AddressPolicy); err != nil {
		return p, field, value, err
	}
	if s.Gateway != "" {
		if p.Gateway, err = gatewayIn(p.Prefix, s.Gateway); err != nil {
			return p, "gateway", s.Gateway, err
		}
	}
	for i, r := range s.Routes {
		route, field, err := parseRoute(r.Dst, r.GW)
		if err == nil && route.Dst.Addr().BitLen() != p.Prefix.Addr().BitLen() {
			field, err = "dst", fmt.Errorf("is of another address family than cidr %s", p.Prefix)
		}
		if err != nil {
			return p, fmt.Sprintf("routes[%d].%s", i, field), map[string]string{"dst": r.Dst, "gw": r.GW}[field], err
		}
		p.Routes = append(p.Routes, route)
	}
	return p, "", "", nil
}

func gatewayIn(prefix netip.Prefix, text string) (netip.Addr, error) {
	a, err := parseAddr(text)
	if err != nil {
		return a, err
	}
	if !prefix.Contains(a) && !a.IsLinkLocalUnicast() {
		return a, fmt.Errorf("lies outside the subnet %s", prefix)
	}
	return a, nil
}

func parseRoute(dst, gw string) (r Route, field string, err error) {
	if dst == "default" {
		return r, "dst", fmt.Errorf("must be a prefix: write 0.0.0.0/0 or ::/0")
	}
	if r.Dst, err = parsePrefix(dst); err != nil {
		return r, "dst", err
	}
	r.Dst = r.Dst.Masked()
	if gw == "" {
		return r, "", nil
	}
	if r.Gateway, err = parseAddr(gw); err != nil {
		return r, "gw", err
	}
	if r.Gateway.BitLen() != r.Dst.Addr().BitLen() {
		return r, "gw", fmt.Errorf("is of another address family than dst %s", dst)
	}
	return r, "", nil
}

func bad(message, fix string) error {
	return &Refusal{Reason: BadConfig, Message: message, Fix: fix}
}
