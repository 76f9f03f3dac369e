// Package table tells the routers where the addresses are by a routing table of the node: a daemon of the operator's (BIRD, FRR) exports
// what is in it.
//
// Every node whose API server works has the addresses, and a route to each in the table; routers choose. Nothing is elected, so nothing has
// to be fenced: two that answer are meant. It owns the routes, and that they go by themselves when the process does. It does not know whether
// the node serves well (cmd/tsunagu-vip) nor which routers there are.
//
// Start at Open.
package table
