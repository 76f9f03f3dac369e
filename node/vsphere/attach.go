package vsphere

import (
	"context"
	"fmt"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/types"
)

// Attach gives a running machine a card on a port group, or finds the one that it gave it before: the owner, which begins with Tag, is
// written on the card. The machine is read anew, and changed only at the version that was read, so that of two callers at the same moment one
// is told to try again, and no machine has two cards of an owner.
//
// On segments of NSX the tag is NSX's: there the card is found again by its port group alone, and is never ours to remove unless the caller
// remembers its MAC.
func (c *Center) Attach(ctx context.Context, machine string, p PortGroup, owner string) (NIC, error) {
	var n NIC
	err := c.do(ctx, "add a network card on port group "+p.Name, func(ctx context.Context, client *vim25.Client) error {
		ref := types.ManagedObjectReference{Type: "VirtualMachine", Value: machine}
		before, err := readMachine(ctx, client, ref)
		if err != nil {
			return err
		}
		old, there := before.card(p, owner)
		if there && old.Connected {
			n = old
			return nil
		}
		if err := before.takes(p, there); err != nil {
			return err
		}
		change, err := addition(ctx, client, p, owner)
		if there {
			change, err = connection(ctx, client, ref, old.Key)
		}
		if err != nil {
			return err
		}
		if err := reconfigure(ctx, client, ref, before.Version, change); err != nil {
			return err
		}
		after, err := readMachine(ctx, client, ref)
		if err != nil {
			return err
		}
		n, there = after.card(p, owner)
		if !there {
			return &Refusal{Reason: Busy, Message: fmt.Sprintf("the card that machine %s was given on port group %s is not there", before.Name, p.Name), Fix: "somebody else removed it at once; it is tried again"}
		}
		return nil
	})
	return n, err
}

// card is the owner's card on a port group.
func (m Machine) card(p PortGroup, owner string) (NIC, bool) {
	if p.Kind != NSX {
		return m.Owned(owner)
	}
	for _, n := range m.NICs {
		if n.PortGroup == p.ID {
			return n, true
		}
	}
	return NIC{}, false
}

// takes says why a machine cannot be given a card on a port group, before vSphere is asked: its faults for these do not name the cause.
func (m Machine) takes(p PortGroup, there bool) error {
	switch {
	case !m.On:
		return &Refusal{Reason: Busy, Message: "virtual machine " + m.Name + " is not powered on", Fix: "start it"}
	case !p.On(m.Host):
		return &Refusal{Reason: NotOnHost, Message: fmt.Sprintf("ESXi host %s of machine %s does not have port group %s", m.HostName, m.Name, p.Name),
			Fix: "add the host to the distributed switch, or create the standard port group there under the same name"}
	case there:
		return nil
	case !m.HotPlug:
		return &Refusal{Reason: NoHotPlug, Message: "the settings of machine " + m.Name + " forbid new devices while it runs", Fix: `remove devices.hotplug = "FALSE" from them`}
	case len(m.NICs) >= MostNICs:
		return &Refusal{Reason: NoSlot, Message: fmt.Sprintf("virtual machine %s has %d network cards, the most that vSphere gives one", m.Name, len(m.NICs)), Fix: "use a trunk port group, which carries many networks on one card"}
	case p.Full:
		return &Refusal{Reason: NoPorts, Message: "port group " + p.Name + " has no free port", Fix: "set its port allocation to elastic, or give it more ports"}
	}
	return nil
}

func addition(ctx context.Context, client *vim25.Client, p PortGroup, owner string) (types.BaseVirtualDeviceConfigSpec, error) {
	backing, err := p.network(client).EthernetCardBackingInfo(ctx)
	if err != nil {
		return nil, err
	}
	device, err := object.EthernetCardTypes().CreateEthernetCard("vmxnet3", backing)
	if err != nil {
		return nil, err
	}
	card := device.(types.BaseVirtualEthernetCard).GetVirtualEthernetCard()
	card.Key = -1 // the server gives it one
	card.Connectable = &types.VirtualDeviceConnectInfo{StartConnected: true, Connected: true, AllowGuestControl: true}
	if p.Kind != NSX {
		card.ExternalId = owner
	}
	return &types.VirtualDeviceConfigSpec{Operation: types.VirtualDeviceConfigSpecOperationAdd, Device: device}, nil
}

// network is the object that a backing is made from. The port group was looked up before: govmomi's simulator breaks down at a name that
// does not exist.
func (p PortGroup) network(client *vim25.Client) object.NetworkReference {
	switch {
	case p.Kind == Standard:
		n := object.NewNetwork(client, types.ManagedObjectReference{Type: "Network", Value: p.ID})
		n.InventoryPath = p.Path
		return n
	case p.opaque:
		return object.NewOpaqueNetwork(client, types.ManagedObjectReference{Type: "OpaqueNetwork", Value: p.ID})
	}
	return object.NewDistributedVirtualPortgroup(client, types.ManagedObjectReference{Type: "DistributedVirtualPortgroup", Value: p.ID})
}

// connection connects a card that is there.
func connection(ctx context.Context, client *vim25.Client, ref types.ManagedObjectReference, key int32) (types.BaseVirtualDeviceConfigSpec, error) {
	devices, err := object.NewVirtualMachine(client, ref).Device(ctx)
	if err != nil {
		return nil, err
	}
	device := devices.FindByKey(key)
	if device == nil {
		return nil, &Refusal{Reason: Busy, Message: "the card was removed in the meantime", Fix: "it is tried again"}
	}
	device.GetVirtualDevice().Connectable = &types.VirtualDeviceConnectInfo{StartConnected: true, Connected: true, AllowGuestControl: true}
	return &types.VirtualDeviceConfigSpec{Operation: types.VirtualDeviceConfigSpecOperationEdit, Device: device}, nil
}

// reconfigure changes one device of a machine that is still what it was.
func reconfigure(ctx context.Context, client *vim25.Client, ref types.ManagedObjectReference, version string, change types.BaseVirtualDeviceConfigSpec) error {
	task, err := object.NewVirtualMachine(client, ref).Reconfigure(ctx, types.VirtualMachineConfigSpec{ChangeVersion: version, DeviceChange: []types.BaseVirtualDeviceConfigSpec{change}})
	if err != nil {
		return err
	}
	return task.Wait(ctx)
}
