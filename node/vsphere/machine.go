package vsphere

import (
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// MostNICs is how many network cards a virtual machine can have, by VMware's configuration maximums of virtual hardware 7 and newer. The
// simulator of govmomi does not hold to it.
const MostNICs = 10

// Machine is a virtual machine as it was when it was read.
type Machine struct {
	// ID is the managed object's, such as vm-42. It stays with the machine while it is in the inventory.
	ID   string
	Name string
	// UUID is the BIOS's, in lower case; the guest and the Node's providerID say the same one.
	UUID string
	// Host is the ESXi host's ID, HostName its name.
	Host, HostName string
	On             bool
	NICs           []NIC
	// Version changes with each change of the settings; who changes them names it, so that a change in between is noticed.
	Version string
	// HotPlug is false when the machine's settings forbid cards while it runs.
	HotPlug bool
}

// NIC is a network card of a virtual machine.
type NIC struct {
	Key int32
	// MAC is nil until the machine was started for the first time.
	MAC net.HardwareAddr
	// PortGroup is the ID of the port group, or the name of a standard one that is there no more.
	PortGroup string
	// Owner is the tag of who added it: tsunagu's begin with Tag.
	Owner     string
	Connected bool
}

// Tag begins the owner of cards that tsunagu added.
const Tag = "tsunagu.dev/"

// Owned finds the card of an owner.
func (m Machine) Owned(owner string) (NIC, bool) {
	i := slices.IndexFunc(m.NICs, func(n NIC) bool { return n.Owner == owner })
	if i < 0 {
		return NIC{}, false
	}
	return m.NICs[i], true
}

// Machine reads the virtual machine of a node.
//
// providerID is the Node's spec.providerID, vsphere:// and the BIOS UUID, or that UUID alone.
func (c *Center) Machine(ctx context.Context, providerID string) (Machine, error) {
	id, err := parseUUID(providerID)
	if err != nil {
		return Machine{}, err
	}
	var m Machine
	err = c.do(ctx, "look for the virtual machine "+id, func(ctx context.Context, client *vim25.Client) error {
		for _, form := range []string{id, swapped(id)} {
			ref, err := object.NewSearchIndex(client).FindByUuid(ctx, nil, form, true, nil)
			if err != nil {
				return err
			}
			if ref != nil {
				m, err = readMachine(ctx, client, ref.Reference())
				return err
			}
		}
		return &Refusal{Reason: NoMachine, Message: fmt.Sprintf("vCenter %s has no virtual machine with the BIOS UUID %s", c.login.Server, id),
			Fix: "name the vCenter that the node runs on, or give its user System.Read on the machine's folder"}
	})
	return m, err
}

// parseUUID takes the UUID out of a providerID.
func parseUUID(providerID string) (string, error) {
	text := strings.ToLower(strings.TrimPrefix(providerID, "vsphere://"))
	raw, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
	if err != nil || len(raw) != 16 {
		return "", &Refusal{Reason: NoMachine, Message: fmt.Sprintf("providerID %q is none of vSphere", providerID),
			Fix: "it is vsphere:// and the BIOS UUID of the virtual machine; the cloud controller manager or Cluster API writes it"}
	}
	return format(raw), nil
}

func format(raw []byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", raw[:4], raw[4:6], raw[6:8], raw[8:10], raw[10:])
}

// swapped is the UUID with the byte order of its first three fields changed: SMBIOS 2.6 has them little-endian (DSP0134 §7.2.1), and guests of
// older virtual hardware tell them so.
func swapped(id string) string {
	raw, _ := hex.DecodeString(strings.ReplaceAll(id, "-", ""))
	slices.Reverse(raw[:4])
	slices.Reverse(raw[4:6])
	slices.Reverse(raw[6:8])
	return format(raw)
}

func readMachine(ctx context.Context, client *vim25.Client, ref types.ManagedObjectReference) (Machine, error) {
	var vm mo.VirtualMachine
	if err := object.NewVirtualMachine(client, ref).Properties(ctx, ref, []string{"name", "config.uuid", "config.changeVersion", "config.hardware.device",
		"config.extraConfig", "runtime.host", "runtime.powerState", "network"}, &vm); err != nil {
		return Machine{}, err
	}
	m := Machine{ID: ref.Value, Name: vm.Name, On: vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn, HotPlug: true}
	if vm.Runtime.Host != nil {
		m.Host = vm.Runtime.Host.Value
		var host mo.HostSystem
		if err := object.NewHostSystem(client, *vm.Runtime.Host).Properties(ctx, *vm.Runtime.Host, []string{"name"}, &host); err != nil {
			return Machine{}, err
		}
		m.HostName = host.Name
	}
	if vm.Config == nil { // a machine that is being made, or whose files are away
		return m, nil
	}
	m.UUID, m.Version = strings.ToLower(vm.Config.Uuid), vm.Config.ChangeVersion
	for _, o := range vm.Config.ExtraConfig {
		if v := o.GetOptionValue(); strings.EqualFold(v.Key, "devices.hotplug") && strings.EqualFold(fmt.Sprint(v.Value), "false") {
			m.HotPlug = false
		}
	}
	for _, d := range vm.Config.Hardware.Device {
		if card, ok := d.(types.BaseVirtualEthernetCard); ok {
			m.NICs = append(m.NICs, nic(card.GetVirtualEthernetCard()))
		}
	}
	return m, nameNetworks(ctx, client, vm.Network, m.NICs)
}

func nic(card *types.VirtualEthernetCard) NIC {
	n := NIC{Key: card.Key, Owner: card.ExternalId, Connected: card.Connectable != nil && card.Connectable.Connected}
	n.MAC, _ = net.ParseMAC(card.MacAddress)
	switch b := card.Backing.(type) {
	case *types.VirtualEthernetCardDistributedVirtualPortBackingInfo:
		n.PortGroup = b.Port.PortgroupKey // the key of a distributed port group is its ID
	case *types.VirtualEthernetCardNetworkBackingInfo:
		if n.PortGroup = b.DeviceName; b.Network != nil {
			n.PortGroup = b.Network.Value
		}
	case *types.VirtualEthernetCardOpaqueNetworkBackingInfo:
		n.PortGroup = b.OpaqueNetworkId
	}
	return n
}

// nameNetworks puts the IDs of standard port groups in the place of their names, and those of opaque networks in the place of NSX's.
func nameNetworks(ctx context.Context, client *vim25.Client, on []types.ManagedObjectReference, nics []NIC) error {
	for _, ref := range on {
		if ref.Type == "DistributedVirtualPortgroup" {
			continue
		}
		var known string
		if ref.Type == "OpaqueNetwork" {
			summary, err := object.NewOpaqueNetwork(client, ref).Summary(ctx)
			if err != nil {
				return err
			}
			known = summary.OpaqueNetworkId
		} else {
			name, err := object.NewNetwork(client, ref).ObjectName(ctx)
			if err != nil {
				return err
			}
			known = name
		}
		for i := range nics {
			if nics[i].PortGroup == known {
				nics[i].PortGroup = ref.Value
			}
		}
	}
	return nil
}
