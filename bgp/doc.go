// Package bgp is which routers are told of this node's routes over BGP-4 (RFC 4271), and how: peers, autonomous systems, times.
//
// It owns how that is written and what of it cannot work. The sessions themselves are of package speaker, so that a command line needs no BGP to
// judge what it is told. It knows neither what the routes are for nor any object of Kubernetes. IPv4 routes are told to peers that are reached by
// IPv4, and IPv6 routes by IPv6: the next hop is always the session's own address, and nothing has to be agreed about it.
//
// Start at Config.Check.
package bgp
