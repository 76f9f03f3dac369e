package lease

import "time"

// Kind of a Message.
type Kind uint8

const (
	// Ask asks whether a request would be granted; nothing changes by it.
	Ask Kind = iota + 1
	// Yes and No answer an Ask.
	Yes
	No
	// Request asks for a promise, or for a longer one.
	Request
	// Ack says that the promise is made, Nack that it is not.
	Ack
	Nack
	// Release says that the sender owns no more and counts no promise that it
	// was given until now.
	Release
	// Hello is sent by a node that is in no list and wants to be.
	Hello
)

// Holder is who a promise is made to. Another start of the same node is
// another holder: it knows nothing of what the former one said.
type Holder struct {
	ID    ID
	Start uint64 // chosen at random at each start
}

// Message goes from one node to another. It may be lost, late, doubled or out
// of order; it must not be forged.
type Message struct {
	Kind Kind
	From Holder
	To   ID
	// Epoch counts attempts to become the owner. In answers it is the highest
	// that the sender has seen.
	Epoch uint64
	// Round is chosen by who asks or requests; the answer repeats it, and
	// For repeats the start of whom it answers.
	Round uint64
	For   uint64
	// Lease is how long a promise is asked for, or granted for.
	Lease time.Duration
	// Left of a No or Nack is how long the promise to somebody else still
	// lasts, Other who that is.
	Left  time.Duration
	Other ID
	// Owner marks a Request of a node that owns.
	Owner bool
	// Heir of a Release is who should own next.
	Heir ID
	// Floor is the one that the sender has kept.
	Floor   uint64
	Members Members
	Health  Health
}

// Health says how well a node would serve as the owner.
type Health struct {
	// Weight is what the operator prefers; a node of weight 0 never owns, it
	// only makes promises (a witness).
	Weight int
	// Ready tells that what the address is for works on the node.
	Ready bool
}

// better tells whether h would serve better than o.
func (h Health) better(o Health) bool {
	if h.Weight == 0 || o.Weight == 0 {
		return h.Weight > o.Weight
	}
	if h.Ready != o.Ready {
		return h.Ready
	}
	return h.Weight > o.Weight
}
