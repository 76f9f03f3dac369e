// Package vlan knows which Network a VLAN of a trunk belongs to.
//
// It owns who may be on a VLAN with whom. It does not know who asks: the controller, which publishes a Network or does not, and the
// admission webhook, which says so before. Start at Owns.
package vlan
