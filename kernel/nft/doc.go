// Package nft keeps the nftables tables of ours, inet tsunagu and bridge tsunagu, and deletes flows from connection tracking.
//
// It owns both. Of the first, Table, chains and rules are written once and are the same on every node, and the elements of its sets and
// maps are what changes; the second, Guard, says which ports of bridges send with which address. It speaks netlink (google/nftables) and
// needs no nft program. It never reads or writes a table of others. It does not know nodes or Pods: rooms above say which elements a set
// has.
//
// Start at Open, then Table.Replace; structure.go has the rules.
package nft
