// Package bench measures tsunagu beside its peers, in one run and in turns: attaching and detaching Pods one at a time, what more networks
// cost a Pod, many Pods at once, the shim alone, what it costs the API server and in memory, and, by a program of the product, packets between nodes.
//
// Addresses alone, of 50 nodes at once, are measured by another program of the product (cmd/tsunagu-fleet), which bench gives orders to;
// with TSUNAGU_BENCH_WHEREABOUTS=/path the whereabouts plugin there runs through the same scenarios in turns with it.
//
// It owns the measuring machine (a Box of namespaces with a real etcd and kube-apiserver and one node without a kubelet), the two
// contenders, the loops and the figures. It does not know how either contender works inside: both are CNI plugins executed by libcni,
// as a container runtime does it. Everything it makes is inside the Box and goes with it.
//
// The controller is measured among a thousand nodes that are objects only (crowd, Webhook).
//
// Start at Run, then World, then Sequential, Burst and Addresses.
package bench
