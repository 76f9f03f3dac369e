// Package precheck looks, on a node, whether the control plane's address would
// work there, before it is used.
//
// It owns what can be wrong and what to do about each. It changes nothing; only
// probes go out (RFC 5227), which nobody learns from. Start at Judge, which is
// pure; look.Node gathers what it judges.
package precheck
