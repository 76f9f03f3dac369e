// Package vsphere brings the virtual machines that are nodes onto port groups
// of a vCenter, and off again. It owns the session, what a port group is and
// lets through, and the network cards that tsunagu added, which carry its tag;
// no other card is ever changed. It does not know Kubernetes, nor when a card
// is wanted: package plan decides that. Start reading at Center.Attach.
package vsphere
