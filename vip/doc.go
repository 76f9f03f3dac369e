// Package vip keeps the control plane's address on exactly one node.
//
// It owns the agent of a node: the socket between nodes, the lease's state
// machine (vip/lease), what of it must survive on disk, and the order in which
// the fence, the address and the announcements follow it. It does not know the
// API server or any object of it: it works before there is one.
//
// Start at Agent.Run; Router.Run is the same by VRRP (vip/vrrp).
package vip
