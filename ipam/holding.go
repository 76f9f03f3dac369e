package ipam

import "net/netip"

// Key is one interface of one sandbox.
type Key struct{ ContainerID, IfName string }

func (k Key) String() string { return k.ContainerID + "/" + k.IfName }

// Owner is the interface that addresses are given to, and whose it is.
type Owner struct {
	Key
	Namespace, Pod, UID, Network string
}

// Want is one address to take: any of Pool, or Static.
type Want struct {
	Pool   Pool
	Static netip.Addr
}

// Holding is what an interface has.
type Holding struct {
	Owner  Owner
	Grants []Grant
}
