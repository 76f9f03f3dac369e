// Package wire sends what no netlink message makes the kernel send.
//
// It owns raw sockets and the bytes of neighbour discovery. It does not know whose addresses it speaks of.
//
// Start at OpenHere.
package wire
