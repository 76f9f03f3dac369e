// Package sim is a cluster in which everything that may go wrong does, in
// virtual time: nodes, their runtimes and agents, two controllers at once, and
// the network between them and the API server. The code under test is ipam's
// Allocator itself; around it stand models of what attach and the controller
// do with it.
//
// All chance comes from the seed, so that what one schedule found can be looked
// at again. A Config may plant bugs: a simulation is worth what it finds.
// It does not know what a test is: Run gives back what the oracle says.
//
// Start at Config and Run, then chaos.go (what goes wrong) and pod.go (what is
// wanted meanwhile).
package sim
