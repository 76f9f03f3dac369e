// Package ipam decides which addresses an attachment gets, so that within one
// domain no address is ever used twice.
//
// It owns pools, the leases of address blocks to nodes, single bound
// addresses and the search for free ones. A node leases blocks (IPBlock
// objects, whose names are the locks) and hands their addresses out from
// memory and a local log, without the API server. It does not know how an
// object reaches the API server (it declares a Store, kube has it), nor how an
// address reaches an interface (attach asks for addresses).
//
// Start at Pool and ParseConfig, then Allocator.Take and Allocator.Free. Why
// no address can be given twice is written beside the steps: claim.go (blocks
// against regions and static addresses), bind.go (static addresses against
// blocks), release.go (blocks that go back), start.go (after a crash).
package ipam
