// Package kube speaks to the API server, and is the only room that does.
//
// It keeps stripped copies of the objects that the rooms need (this node's Pods, network attachment definitions, pools, nodes), reads
// single objects live when a copy may lag, and writes status, events and address objects. It turns Kubernetes' objects into the rooms'
// own values and knows nothing about wiring or choosing addresses.
//
// Start at Connect, then Pods and Definitions.
package kube
