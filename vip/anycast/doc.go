// Package anycast has the addresses on every node whose API server works, and tells the routers that they are here; these choose.
//
// Nothing is elected, so nothing has to be fenced: two that answer are meant. It owns that the addresses and what was told of them go by
// themselves when the process does. It does not know whether the node serves well (cmd/tsunagu-vip) nor which routers there are: it tells them by
// a routing table that a daemon of the operator's exports (Table), or in sessions of its own (Speaker).
//
// Start at Open.
package anycast
