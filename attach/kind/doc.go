// Package kind wires the interfaces of a Pod.
//
// It owns what each kind of interface (loopback, pod, ptp, bridge, macvlan, ipvlan, vlan, trunk, tap, dummy, ovs, sriov, host-device) means in links, addresses, routes and
// neighbours, one file per kind, and it makes, checks and removes all interfaces of a sandbox as one transaction. It does not know
// Kubernetes, network attachment definitions, or where addresses come from: attach hands over Attachments that are complete.
//
// Start at Attachment and Spec, then Wirer.Wire.
package kind
