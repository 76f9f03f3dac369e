package kind

import (
	"net"
	"net/netip"

	"github.com/tsunagu-net/tsunagu/kernel/link"
)

// job is one attachment on its way to an interface.
type job struct {
	*Attachment
	hostIf string           // name of the node's end, and of anything of ours on the node for this key
	mac    net.HardwareAddr // nil leaves it to the kernel
	mtu    int              // 0 leaves it to the kernel
	asked  bool             // mac was asked for and cannot be exchanged for another
	// addresses as they are put on the interface, routes with gateways filled in and one owner per destination
	addresses []Address
	routes    []Route

	// found by prepare
	below     link.Link  // macvlan: the uplink; bridge: the bridge; host-device: the device
	taken     *Device    // host-device: how it was
	function  *Function  // sriov: what the card is told
	userspace bool       // host-device, sriov: without an interface
	socket    string     // ovs: of the switch
	trunk     *TrunkPort // trunk: its port; trunkIndex is the trunk

	trunkIndex int

	// found by create
	made     bool      // by this call
	kept     bool      // was there before, complete
	renamed  bool      // made under hostIf, because the node has an interface of the wanted name
	inside   link.Link // the interface in the Pod
	hostLink int       // index of the node's end
	warnings []string
}

// host is the address of a prefix alone, as the node's routes have it.
func host(p netip.Prefix) netip.Prefix { return netip.PrefixFrom(p.Addr(), p.Addr().BitLen()) }

// wired is the record of a finished job.
func (j *job) wired() Wired {
	w := Wired{
		ContainerID: j.ContainerID, IfName: j.IfName, Network: j.Network, Type: j.Spec.Type(),
		MAC: j.inside.MAC.String(), MTU: j.inside.MTU, IfIndex: j.inside.Index,
		Addresses: j.addresses, Routes: j.routes, Device: j.taken,
		Warnings: append(append([]string(nil), j.Spec.Warnings()...), j.warnings...),
	}
	if j.Spec.Masquerade() {
		for _, a := range j.Addresses {
			w.Masquerade = append(w.Masquerade, a.Prefix.Addr())
		}
	}
	if j.Spec.leaves(j) {
		w.Segment = j.Spec.Segment()
	}
	j.Spec.record(j, &w)
	return w
}
