// Package ovs puts ports on bridges of Open vSwitch, by its database (RFC 7047).
//
// It owns the few transactions that a port needs, over a connection of their own each: an attachment needs one answer, not a copy of the
// database that follows it. The notation of the database is libovsdb's. It does not know Pods; attach/kind says what a port is to be.
//
// Start at Switch.AddPort.
package ovs
