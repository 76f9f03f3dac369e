package ipam

import (
	"fmt"
	"net/netip"
	"slices"
)

// AddressName is the name of the object that binds an address of a domain.
func AddressName(domain string, x netip.Addr) string { return objectName(domain, x) }

// Source is the pool that the want's Static is taken of.
func (w Want) Source() Pool { return *w.that(w.Static) }

// Booked says who has an address of the pool, by the object that binds it and
// the block that it lies in as they were read; either may be nil. The answer is
// for people who look before they ask: what counts is decided when the address
// is taken. forPod and forClaim tell who may have it; nil is nobody.
func (p Pool) Booked(x netip.Addr, bound *Address, block *Block, forPod func(Owner) bool, forClaim func(ClaimRef) bool) error {
	free := "ask for another address"
	switch {
	case bound == nil:
	case bound.Reserved != "":
		return &Refusal{Reason: Taken, Message: fmt.Sprintf("address %s of pool %s is reserved: %s", x, p.Name, bound.Reserved),
			Fix: free + ", or delete IPAddress " + bound.Name}
	case bound.Owner != (Owner{}):
		if forPod != nil && forPod(bound.Owner) {
			return nil
		}
		return takenBy(&p, x, bound.Owner, bound.Node)
	case bound.Claim != (ClaimRef{}):
		if forClaim != nil && forClaim(bound.Claim) {
			return nil
		}
		return &Refusal{Reason: Taken, Message: fmt.Sprintf("address %s of pool %s is kept for IPClaim %s/%s", x, p.Name, bound.Claim.Namespace, bound.Claim.Name),
			Fix: free + ", or name that claim"}
	case bound.Quarantine != nil:
		return &Refusal{Reason: Taken, Message: fmt.Sprintf("address %s of pool %s is used by a stranger with MAC %s, seen by node %s", x, p.Name, bound.Quarantine.MAC, bound.Quarantine.Node),
			Fix: free + ", or find that machine"}
	}
	if block == nil || !block.Prefix.Contains(x) {
		return nil
	}
	if bit := uint64(1) << placeIn(block.Prefix, x); block.Used&^block.Holes&bit != 0 {
		return &Refusal{Reason: Taken, Message: fmt.Sprintf("address %s of pool %s is in use by a Pod on node %s", x, p.Name, block.Node),
			Fix: free + ", or delete that Pod"}
	}
	return nil
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
