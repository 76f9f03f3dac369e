// Package scaleup says why Cluster Autoscaler does, or does not, make a node for a Pod by Cluster API.
//
// It owns the rules by which the autoscaler's clusterapi provider reads a MachineDeployment (which annotation, in which format, from
// which version on, and what happens without a word when it is wrong), the Node that the autoscaler imagines a new machine to be, and the
// predicates that it then asks. It is a pure function over objects: it reads no cluster, and knows nothing of networks. What it claims
// was seen with Cluster Autoscaler 1.36.1 and read in its sources of earlier versions.
//
// Start at Explain, then Group and the rules in bounds.go, capacity.go, labels.go.
package scaleup
