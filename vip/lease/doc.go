// Package lease decides which of a few nodes owns the control-plane address: a
// majority lease without disk, clock agreement or API server.
//
// It owns one pure state machine, Machine: time and messages go in, messages
// and the right to own ("until when") come out. It does not know sockets,
// kernels or addresses; vip carries out what it says.
//
// Start at Machine, then acceptor.go (what a node promises), candidate.go (how
// one becomes the owner), owner.go (how it stays the owner and lets go) and
// change.go (how members come and go). Why two nodes can never own at the same
// time is argued here and beside the steps:
//
// Each node promises the lease to at most one holder at a time, from when it
// received the request until a lease later. An owner owns until a lease, less a
// guard, after it SENT the newest request that a majority promised. Two
// majorities share a node; that node's promises do not overlap; and what the
// owner counts began earlier and is shorter than what the node counts. So no
// agreement between clocks is needed, only that none runs faster than another
// by more than the guard. A node that restarted promises nothing for as long as
// a promise that it forgot could last.
package lease
