// Package claimsim is a simulation of addresses that outlive Pods: Pods with
// claims move between nodes that crash, are rebooted and are made anew, with a
// network that loses and delays what it carries, in virtual time. It holds
// tests only. Start at TestSimulationOfClaims; the bugs that it must find are
// below it.
package claimsim
