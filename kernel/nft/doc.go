// Package nft keeps the one nftables table of ours, inet tsunagu, and deletes flows from connection tracking.
//
// It owns the table: its chains and rules, which are written once and are the same on every node, and its sets and maps, whose
// elements are what changes. It speaks netlink (google/nftables) and needs no nft program. It never reads or writes a table of others.
// It does not know nodes or Pods: rooms above say which elements a set has.
//
// Start at Open, then Table.Replace; structure.go has the rules.
package nft
