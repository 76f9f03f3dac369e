// Package hostport lets Pods be reached at ports of their node, as the portmap plugin does, and hides addresses of secondary networks
// that ask for it (ipMasq).
//
// It owns who holds which port and the elements that say so in the node's nft table: maps looked up in constant time, however many
// Pods there are. It does not know how a Pod is wired, and no rule is ever written for a single Pod.
//
// A port of the node leads to the Pod for traffic from outside, from Pods, from the Pod itself, and from the node, also at 127.0.0.1;
// [::1] is not possible, because IPv6 has no counterpart of route_localnet. For 127.0.0.1 that switch is set on the node's end of the
// Pods that have ports, and packets from Pods to 127.0.0.0/8 are dropped, so that no Pod reaches services that listen there.
//
// Start at Table.
package hostport
