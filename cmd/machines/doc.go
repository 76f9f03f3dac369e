// Package machines puts together what a verdict on Cluster Autoscaler is made of: the groups and templates of Cluster API, which autoscaler
// there is, and what it may not do.
//
// It owns where these are found in a cluster's objects. It does not know what they mean (doctor/scaleup), nor how objects are read
// (kube/snapshot): these two do not know each other, and the command line and the controller bring them together in the same way.
//
// Start at World.
package machines
