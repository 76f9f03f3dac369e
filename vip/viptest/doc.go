// Package viptest is a segment of a few nodes and one client in network
// namespaces of its own, for tests and benchmarks of who has an address: real
// packets, real processes, a client that counts milliseconds without an answer,
// and a witness that counts who answers ARP.
//
// It does not know what the processes are: tsunagu-vip, keepalived or kube-vip.
// Start at New.
package viptest
