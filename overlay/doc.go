// Package overlay gives every Pod of the pod network reach to every other one, on whichever node they are, and to the world outside.
//
// It owns the device tsu-vx, the routes to other nodes' Pod prefixes, the addresses and prefixes in the nft table that decide what is
// masqueraded and who may send encapsulated packets, and the MTU that Pods get. A node costs one route message per family: routes
// carry their tunnel themselves, so there are no neighbours and no forwarding entries to keep (lightweight tunnels on an external
// VXLAN-GPE device). It does not know Kubernetes, nor how Pods are attached.
//
// Start at Overlay; what it decides is in plan.go.
package overlay
