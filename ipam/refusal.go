package ipam

import "errors"

// Reasons of a Refusal.
const (
	// OutOfRange: the address is not one of the pool.
	OutOfRange = "AddressOutOfRange"
	// Excluded: the address is of the subnet but is kept from Pods.
	Excluded = "AddressExcluded"
	// Taken: somebody else has the address.
	Taken = "AddressTaken"
	// Conflict: a stranger on the segment uses the address.
	Conflict = "AddressConflict"
	// PoolFull: nothing is left.
	PoolFull = "PoolFull"
	// QuotaExceeded: the namespace may hold no more.
	QuotaExceeded = "QuotaExceeded"
	// Unavailable: it needs the API server, which does not answer.
	Unavailable = "Unavailable"
	// Forbidden: the API server answers and does not let us.
	Forbidden = "Forbidden"
	// Deleted: the attachment was deleted while it was being made.
	Deleted = "Deleted"
	// HoldsOther: the interface holds addresses already, and others than those
	// asked for now.
	HoldsOther = "HoldsOtherAddresses"
	// UnknownClaim: there is no claim of the name that a Pod names.
	UnknownClaim = "UnknownClaim"
	// ClaimMismatch: the claim is for something else, or its addresses do not
	// fit the network any more.
	ClaimMismatch = "ClaimMismatch"
	// ClaimInUse: another interface has the claim's address.
	ClaimInUse = "ClaimInUse"
	// BadConfig: the ipam configuration says something impossible.
	BadConfig = "BadAddressConfig"
	// NoLease: no DHCP server answers.
	NoLease = "NoLease"
	// LeaseRefused: a DHCP server answers, and does not give what is asked for.
	LeaseRefused = "LeaseRefused"
	// UnknownType: the ipam type is not one that is built in.
	UnknownType = "UnknownAddressType"
)

// Refusal is the error that says no to a user: what, why, and what would help.
type Refusal struct{ Reason, Message, Fix string }

func (r *Refusal) Error() string {
	if r.Fix == "" {
		return r.Message
	}
	return r.Message + "; " + r.Fix
}

// ReasonOf is the Reason of the Refusal in an error, or "".
func ReasonOf(err error) string {
	var r *Refusal
	if errors.As(err, &r) {
		return r.Reason
	}
	return ""
}
