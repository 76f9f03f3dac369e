package dhcp

import "time"

// stage is what is to be done about a lease.
type stage int

const (
	// bound: nothing.
	bound stage = iota
	// renewing: the server is asked to go on.
	renewing
	// rebinding: any server is.
	rebinding
	// expired: the address must not be used any more.
	expired
)

// stageAt is what is due when some time has passed since a lease was asked for (RFC 2131 clause 4.4.5).
func (l Lease) stageAt(passed time.Duration) stage {
	switch {
	case passed >= l.Expire:
		return expired
	case passed >= l.Rebind:
		return rebinding
	case passed >= l.Renew:
		return renewing
	}
	return bound
}

// next is when after the last attempt something is due again, from when the lease was asked for: half of what is left until the next
// stage later, but no sooner than the rest (RFC 2131 clause 4.4.5), which is shorter for short leases.
func (l Lease) next(passed time.Duration) time.Duration {
	end := l.Renew
	switch l.stageAt(passed) {
	case bound:
		return end
	case renewing:
		end = l.Rebind
	case rebinding, expired:
		end = l.Expire
	}
	rest := max(min(l.Expire/16, longestRest), shortestRest)
	return min(passed+max((end-passed)/2, rest), max(end, passed))
}

const (
	longestRest  = time.Minute
	shortestRest = 500 * time.Millisecond
)
