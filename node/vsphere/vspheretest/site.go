// Package vspheretest is a vCenter for tests: govmomi's simulator, with port
// groups as people have them, and with what it lacks of vSphere. It does not
// know who asks it. Start reading at Start.
package vspheretest

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"net"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// Site is a vCenter with one cluster of hosts.
type Site struct {
	*Door
	Model  *simulator.Model
	Server *simulator.Server
	Admin  *govmomi.Client
}

// Start makes a vCenter with so many hosts and machines that run, and the distributed port groups vlan120, which lets Pods through, trunk, for
// VLANs 100 to 199 and 300, and strict, which lets no foreign MAC address through. Its machines hold to the version of a change.
func Start(ctx context.Context, hosts, machines int) (*Site, error) {
	model := simulator.VPX()
	model.Host, model.Cluster, model.ClusterHost, model.Machine = 0, 1, hosts, machines
	if err := model.Create(); err != nil {
		return nil, err
	}
	model.Service.TLS = &tls.Config{}
	s := &Site{Model: model, Server: model.Service.NewServer()}
	var err error
	if s.Door, err = Open(func(at string) (net.Listener, error) { return net.Listen("tcp", at) }, "127.0.0.1:0", s.Server.URL.Host); err != nil {
		return nil, err
	}
	if s.Admin, err = govmomi.NewClient(ctx, s.Server.URL, true); err != nil {
		s.Close()
		return nil, err
	}
	guard(model)
	for name, of := range map[string]struct {
		vlan   types.BaseVmwareDistributedVirtualSwitchVlanSpec
		policy *types.DVSMacManagementPolicy
	}{
		"vlan120": {&types.VmwareDistributedVirtualSwitchVlanIdSpec{VlanId: 120}, Lenient()},
		"trunk":   {&types.VmwareDistributedVirtualSwitchTrunkVlanSpec{VlanId: []types.NumericRange{{Start: 100, End: 199}, {Start: 300, End: 300}}}, Lenient()},
		"strict":  {&types.VmwareDistributedVirtualSwitchVlanIdSpec{VlanId: 7}, &types.DVSMacManagementPolicy{AllowPromiscuous: new(bool), ForgedTransmits: new(bool), MacChanges: new(bool)}},
	} {
		if err := s.Distributed(ctx, name, of.vlan, of.policy); err != nil {
			s.Close()
			return nil, err
		}
	}
	return s, nil
}

// Close ends it.
func (s *Site) Close() {
	s.Stop()
	s.Server.Close()
	s.Model.Remove()
}

// Login is who may ask it, and by which thumbprint it is known.
func (s *Site) Login() (server, user, password, thumbprint string) {
	password, _ = s.Server.URL.User.Password()
	return s.Address(), s.Server.URL.User.Username(), password, soap.ThumbprintSHA256(s.Server.Certificate())
}

// CA is the certificate that it is signed by, in PEM.
func (s *Site) CA() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Server.Certificate().Raw})
}

// Lenient is the policy of a port group that lets Pods through.
func Lenient() *types.DVSMacManagementPolicy {
	return &types.DVSMacManagementPolicy{ForgedTransmits: types.NewBool(true), MacChanges: new(bool), AllowPromiscuous: new(bool), MacLearningPolicy: &types.DVSMacLearningPolicy{Enabled: true}}
}

// Finder looks objects up by name.
func (s *Site) Finder(ctx context.Context) (*find.Finder, error) {
	f := find.NewFinder(s.Admin.Client, false)
	dc, err := f.DefaultDatacenter(ctx)
	if err != nil {
		return nil, err
	}
	return f.SetDatacenter(dc), nil
}

// Distributed makes a distributed port group.
func (s *Site) Distributed(ctx context.Context, name string, vlan types.BaseVmwareDistributedVirtualSwitchVlanSpec, policy *types.DVSMacManagementPolicy) error {
	f, err := s.Finder(ctx)
	if err != nil {
		return err
	}
	n, err := f.Network(ctx, "DVS0")
	if err != nil {
		return err
	}
	task, err := n.(*object.DistributedVirtualSwitch).AddPortgroup(ctx, []types.DVPortgroupConfigSpec{{Name: name, Type: string(types.DistributedVirtualPortgroupPortgroupTypeEarlyBinding), NumPorts: 8,
		AutoExpand: types.NewBool(true), DefaultPortConfig: &types.VMwareDVSPortSetting{Vlan: vlan, MacManagementPolicy: policy}}})
	if err != nil {
		return err
	}
	return task.Wait(ctx)
}

// Remove deletes a port group that no machine uses.
func (s *Site) Remove(ctx context.Context, name string) error {
	f, err := s.Finder(ctx)
	if err != nil {
		return err
	}
	n, err := f.Network(ctx, name)
	if err != nil {
		return err
	}
	task, err := object.NewCommon(s.Admin.Client, n.Reference()).Destroy(ctx)
	if err != nil {
		return err
	}
	return task.Wait(ctx)
}

// Machine is a virtual machine.
type Machine struct {
	Name, UUID string
	Object     *object.VirtualMachine
}

// Machines are all of them, by name.
func (s *Site) Machines(ctx context.Context) ([]Machine, error) {
	f, err := s.Finder(ctx)
	if err != nil {
		return nil, err
	}
	list, err := f.VirtualMachineList(ctx, "*")
	if err != nil {
		return nil, err
	}
	var all []Machine
	for _, vm := range list {
		all = append(all, Machine{vm.Name(), vm.UUID(ctx), vm})
	}
	return all, nil
}

// Card is a network card of a machine.
type Card struct {
	MAC       string `json:"mac"`
	PortGroup string `json:"portGroup"`
	Owner     string `json:"owner"`
}

// Cards are those of a machine, with the names of distributed port groups; also while the vCenter is stopped.
func (s *Site) Cards(m Machine) (all []Card) {
	ctx := s.Model.Service.Context
	vm := ctx.Map.Get(m.Object.Reference()).(*guarded)
	ctx.WithLock(vm.VirtualMachine, func() {
		for _, d := range vm.Config.Hardware.Device {
			card, ok := d.(types.BaseVirtualEthernetCard)
			if !ok {
				continue
			}
			c := card.GetVirtualEthernetCard()
			one := Card{MAC: c.MacAddress, Owner: c.ExternalId}
			if b, ok := c.Backing.(*types.VirtualEthernetCardDistributedVirtualPortBackingInfo); ok {
				if g, ok := ctx.Map.Get(types.ManagedObjectReference{Type: "DistributedVirtualPortgroup", Value: b.Port.PortgroupKey}).(*simulator.DistributedVirtualPortgroup); ok {
					one.PortGroup = g.Name
				}
			}
			all = append(all, one)
		}
	})
	return all
}

// Fail makes a method fail so many times; 0 is for ever.
func (s *Site) Fail(method string, with types.BaseMethodFault, times int) {
	s.Model.Service.AddFaultRule(&simulator.FaultInjectionRule{MethodName: method, ObjectType: "*", ObjectName: "*", Probability: 1, FaultType: simulator.FaultTypeCustom, Fault: with, Message: "injected", MaxCount: times, Enabled: true})
}
