package ipam

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

// Policy is how the addresses of a pool are given out. The zero value is what
// a pool has that says nothing.
type Policy struct {
	// Lowest gives strictly the lowest free address, Resting the one that was
	// given back longest ago; neither follows from the pool's size.
	Lowest, Resting bool
	// Cooldown is how long an address that was given back is not given out
	// again.
	Cooldown time.Duration
	// OnlyClaimed: Pods of a StatefulSet have no claims of their own.
	OnlyClaimed bool
	// Retention of the claims that are made for Pods of a StatefulSet, as
	// IPClaims write it.
	Retention string
	NodeLoss  v1alpha1.NodeLossPolicy
	// Quotas are the most addresses that the Pods of a namespace may hold, ""
	// for namespaces that are not named.
	Quotas map[string]int
	// Unprobed: no stranger is looked for before an address is used.
	Unprobed bool
	// Quarantine is how long an address that a stranger uses is left alone.
	Quarantine time.Duration
	// GatewayCheck says what it means when the gateway does not answer.
	GatewayCheck v1alpha1.GatewayCheck
	// MACPrefix are the two bytes before an IPv4 address in its interface's
	// MAC; none means that the MAC does not follow from the address.
	MACPrefix net.HardwareAddr
	// Fallback names IPPools to try in turn when this one is full.
	Fallback []string
}

// DefaultQuarantine is how long an address that a stranger uses is left alone.
const DefaultQuarantine = 10 * time.Minute

// parsePolicy reads the part of an IPPool that says how addresses are given
// out. Errors come with the field and its value.
func parsePolicy(o v1alpha1.AddressPolicy) (p Policy, field, value string, err error) {
	p = Policy{Lowest: o.Order == v1alpha1.OrderLowest, Resting: o.Order == v1alpha1.OrderCooldown, OnlyClaimed: o.Sticky == v1alpha1.StickyClaimed,
		Retention: o.Retention, NodeLoss: o.NodeLoss, Unprobed: o.ConflictDetection == v1alpha1.ConflictOff, Quarantine: DefaultQuarantine,
		GatewayCheck: o.GatewayCheck, Fallback: slices.Clone(o.Fallback)}
	if o.Cooldown != nil {
		if p.Cooldown = o.Cooldown.Duration; p.Cooldown < 0 {
			return p, "cooldown", p.Cooldown.String(), fmt.Errorf("must not be negative")
		}
	}
	if o.Quarantine != nil {
		if p.Quarantine = o.Quarantine.Duration; p.Quarantine < time.Second {
			return p, "quarantine", p.Quarantine.String(), fmt.Errorf("must be at least 1s")
		}
	}
	if _, err := ParseRetention(o.Retention); err != nil {
		return p, "retention", o.Retention, err
	}
	for i, q := range o.Quotas {
		name := q.Namespace
		if name == "*" {
			name = ""
		}
		if _, twice := p.Quotas[name]; twice || q.Max < 0 {
			return p, fmt.Sprintf("quotas[%d]", i), q.Namespace, fmt.Errorf("must be given once, with a max of 0 or more")
		}
		if p.Quotas == nil {
			p.Quotas = map[string]int{}
		}
		p.Quotas[name] = int(q.Max)
	}
	if o.MACPrefix != "" {
		if p.MACPrefix, err = parseMACPrefix(o.MACPrefix); err != nil {
			return p, "macPrefix", o.MACPrefix, err
		}
	}
	return p, "", "", nil
}

// parseMACPrefix reads two bytes of a locally administered unicast address
// (IEEE 802-2014 section 8.4).
func parseMACPrefix(text string) (net.HardwareAddr, error) {
	mac, err := net.ParseMAC(text + ":00:00:00:00")
	if err != nil || strings.Count(text, ":") != 1 || mac[0]&3 != 2 {
		return nil, fmt.Errorf("must be two bytes of a locally administered unicast address, such as 02:0a")
	}
	return mac[:2], nil
}

// ParseRetention reads how long a claim keeps its addresses without a Pod: a
// duration, or 0 for as long as the claim exists.
func ParseRetention(text string) (time.Duration, error) {
	switch text {
	case "", v1alpha1.RetainWhileOwnerExists, v1alpha1.RetainForever:
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("must be %s, %s or a duration such as 24h", v1alpha1.RetainWhileOwnerExists, v1alpha1.RetainForever)
	}
	return d, nil
}

// Quota is the most addresses that Pods of a namespace may hold, or false.
func (p Policy) Quota(namespace string) (int, bool) {
	n, ok := p.Quotas[namespace]
	if !ok {
		n, ok = p.Quotas[""]
	}
	return n, ok
}

// macFor derives the MAC of an interface from its IPv4 address, if the policy
// says so: one address has one MAC, wherever the Pod is.
func (p Policy) macFor(a netip.Addr) net.HardwareAddr {
	if len(p.MACPrefix) != 2 || !a.Is4() {
		return nil
	}
	four := a.As4()
	return append(slices.Clone(p.MACPrefix), four[:]...)
}
