// Package dhcp gets addresses of DHCP servers for interfaces of Pods, and keeps them.
//
// It owns the clients' side of RFC 2131 (IPv4) and of RFC 8415 (one IPv6 address, IA_NA): the messages, who is asked when, the log by
// which leases outlive the agent, and the one Keeper that renews all of them. It does not know how an address reaches an interface (it
// tells a Follower), what else a Pod has, or Kubernetes.
//
// Start at Keeper.Acquire and Keeper.Run, then acquire4.go; readLease4 and readReply6 are the doors of foreign packets, stage is when
// what is due.
package dhcp
