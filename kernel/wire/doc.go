// Package wire sends what no netlink message makes the kernel send, and hears who answers.
//
// It owns raw sockets and the bytes of ARP and neighbour discovery. It does not know whose addresses it speaks of, nor what follows
// from an answer.
//
// Start at OpenHere, which announces addresses, and AskHere, which asks who has them.
package wire
