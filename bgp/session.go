package bgp

import "time"

// Session is how things are with a peer.
type Session struct {
	Peer
	// State as in RFC 4271 §8.2.2: idle, connect, active, opensent, openconfirm, established.
	State string
	// Up tells that routes are told.
	Up bool
	// Since is when Up was last another.
	Since time.Time
	// Why is what ended the last session, in the protocol's words; "" if none was.
	Why string
}
