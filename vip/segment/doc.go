// Package segment makes the hosts of one Ethernet segment send what is for the
// owned addresses to this node: with ARP and neighbour discovery, while the node
// owns.
//
// It owns the device that carries the addresses, the fence on the interface, the
// announcements and the answers. It does not know who decides about owning
// (package vip does, by vip.Announcer).
//
// The addresses are on a device of their own without ports, so that nobody takes
// one for the node's own address: not the kubelet, no CNI, no choice of a source.
// Linux answers ARP for them on the interface all the same, unless arp_ignore
// says no, and then Segment answers; neighbour discovery it always answers.
// Everything that it sends passes the fence, which is the kernel's: what it says
// too late is not said.
//
// Start at Open, then keep.go.
package segment
