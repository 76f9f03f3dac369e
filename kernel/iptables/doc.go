// Package iptables reads and changes rules that iptables(8) owns, by iptables itself: a chain of its tables that was written in another way is one
// that it may refuse to show.
//
// It owns the two programs' words and their input. It does not know what the rules are for. Rules of our own are in package nft.
//
// Start at Filter.
package iptables
