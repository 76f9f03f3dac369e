package ipam

import (
	"fmt"
	"net/netip"
	"slices"
)

// AddressName is the name of the object that binds an address of a domain.
func AddressName(domain string, x netip.Addr) string { return objectName(domain, x) }

// Booked says who has an address of the pool, by the object that binds it and
// the block that it lies in as they were read; either may be nil. The answer is
// for people who look before they ask: what counts is decided when the address
// is taken. mine tells which Address objects the asker may have.
func (p Pool) Booked(x netip.Addr, bound *Address, block *Block, mine func(Address) bool) error {
	if bound != nil {
		if mine(*bound) {
			return nil
		}
		return takenFrom(&p, x, *bound)
	}
	if block == nil || !block.Prefix.Contains(x) {
		return nil
	}
	if bit := uint64(1) << placeIn(block.Prefix, x); block.Used&^block.Holes&bit != 0 {
		return &Refusal{Reason: Taken, Message: fmt.Sprintf("address %s of pool %s is in use by a Pod on node %s", x, p.Name, block.Node),
			Fix: "ask for another address, or delete that Pod"}
	}
	return nil
}

// NoClaim says that there is no claim of a name.
func NoClaim(namespace, name string) *Refusal {
	return &Refusal{Reason: UnknownClaim, Message: fmt.Sprintf("there is no IPClaim %s/%s, and no IPAMClaim that became one", namespace, name),
		Fix: "create the IPClaim, or correct ipam-claim-reference in the Pod's annotation"}
}

// Suits says why a claim is not for an interface, or nil; an owner without a
// Pod is that of a Pod that has no name yet.
func (c Claim) Suits(o Owner) error {
	if o.Pod == "" {
		o.Pod = c.Pod
	}
	return c.suits(o)
}

// Busy says who uses an address of the claim as it was read, or nil.
func (c Claim) Busy(has Address) error {
	if !has.used() {
		return nil
	}
	return inUse(c, has.Address, has, Owner{})
}

// Gives tells whether the pool may give out an address of a prefix, to whoever
// asks for it.
func (p Pool) Gives(prefix netip.Prefix) bool {
	other := RangeOf(prefix)
	return slices.ContainsFunc(p.parsed().statics, other.Meets)
}

// Meets tells whether two ranges share an address.
func (r Range) Meets(other Range) bool {
	return r.First.BitLen() == other.First.BitLen() && r.First.Compare(other.Last) <= 0 && other.First.Compare(r.Last) <= 0
}
