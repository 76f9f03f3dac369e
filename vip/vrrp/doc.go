// Package vrrp speaks VRRP: the advertisements of version 3 (RFC 9568) and 2
// (RFC 3768, what keepalived sends unless told otherwise), and the state machine
// of one virtual router.
//
// Both are pure: bytes, advertisements and time go in; bytes, advertisements and
// the right to own ("until when") come out. The package knows no socket,
// interface or kernel. Whoever carries it out checks what only the IP header
// tells, that TTL or hop limit is 255 (RFC 9568 §5.1.1.3).
//
// VRRP has no majority: two nodes that do not hear each other both own. What is
// added here is that a node never owns for longer than others would wait for
// its next advertisement, so that one which was stopped is silent by then. Only
// who takes from an owner that goes on, or begins in the same moment as another,
// does not wait: then two own until they hear each other, or for three and a half
// intervals if one of them is stopped just then.
//
// Start at Advertisement (advertisement.go, read.go), then Machine (machine.go).
package vrrp
