package vsphere

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/tsunagu-net/tsunagu/node/vsphere/vspheretest"
)

// site is a vCenter of three hosts with port groups of every sort.
type site struct {
	*testing.T
	*vspheretest.Site
	center *Center
}

func newSite(t *testing.T) *site {
	t.Helper()
	v, err := vspheretest.Start(t.Context(), 3, 2)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{T: t, Site: v}
	t.Cleanup(s.Close)
	s.center = s.dial(Login{})
	t.Cleanup(func() { s.center.Close(context.Background()) })
	return s
}

func (s *site) dial(l Login) *Center {
	s.Helper()
	server, user, password, thumbprint := s.Login()
	l.Server = server
	if l.User == "" {
		l.User, l.Password = user, password
	}
	if len(l.CA) == 0 && l.Thumbprint == "" {
		l.Thumbprint = thumbprint
	}
	c, err := New(l)
	s.must(err)
	return c
}

func (s *site) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *site) finder() *find.Finder {
	f, err := s.Finder(s.Context())
	s.must(err)
	return f
}

func (s *site) done(task *object.Task, err error) {
	s.Helper()
	s.must(err)
	s.must(task.Wait(s.Context()))
}

// machine is the first of the model's.
func (s *site) machine() Machine {
	s.Helper()
	vm, err := s.finder().VirtualMachine(s.Context(), "DC0_C0_RP0_VM0")
	s.must(err)
	m, err := s.center.Machine(s.Context(), "vsphere://"+vm.UUID(s.Context()))
	s.must(err)
	return m
}

func (s *site) portGroup(which string) PortGroup {
	s.Helper()
	p, err := s.center.PortGroup(s.Context(), which)
	s.must(err)
	return p
}

func (s *site) refuses(err error, reason Reason, words ...string) {
	s.Helper()
	if ReasonOf(err) != reason {
		s.Fatalf("%v, want %s", err, reason)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			s.Errorf("%v: does not say %q", err, w)
		}
	}
}

const blue = Tag + "cluster-1/blue"

func TestAttachAndDetach(t *testing.T) {
	s := newSite(t)
	before := s.machine()
	p := s.portGroup("vlan120")
	n, err := s.center.Attach(t.Context(), before.ID, p, blue)
	s.must(err)
	if n.MAC == nil || n.PortGroup != p.ID || n.Owner != blue || !n.Connected {
		t.Errorf("%+v", n)
	}
	again, err := s.center.Attach(t.Context(), before.ID, p, blue)
	s.must(err)
	if m := s.machine(); again.Key != n.Key || len(m.NICs) != len(before.NICs)+1 || m.Version == before.Version {
		t.Errorf("a second call: %+v, machine %+v", again, m)
	}
	if m := s.machine(); m.NICs[len(m.NICs)-1].Key != n.Key {
		t.Error("the new card is not the last: Cluster API goes by their order")
	}
	s.must(s.center.Detach(t.Context(), before.ID, n))
	s.must(s.center.Detach(t.Context(), before.ID, n))
	if m := s.machine(); !slices.EqualFunc(m.NICs, before.NICs, func(a, b NIC) bool { return a.Key == b.Key }) {
		t.Errorf("%+v, want %+v", m.NICs, before.NICs)
	}
}

// A card that another has by now, or that was never ours, stays.
func TestDetachTakesOnlyItsOwn(t *testing.T) {
	s := newSite(t)
	m := s.machine()
	s.must(s.center.Detach(t.Context(), m.ID, NIC{Key: m.NICs[0].Key, MAC: m.NICs[0].MAC, Owner: blue}))
	s.must(s.center.Detach(t.Context(), m.ID, NIC{Key: m.NICs[0].Key, Owner: m.NICs[0].Owner}))
	s.must(s.center.Detach(t.Context(), "vm-99999", NIC{Key: 4000, Owner: blue}))
	s.refuses(s.center.Detach(t.Context(), m.ID, NIC{Key: m.NICs[0].Key, Owner: "somebody"}), Refused, "somebody")
	if got := s.machine(); len(got.NICs) != len(m.NICs) {
		t.Errorf("%+v", got.NICs)
	}
}

func TestPortGroups(t *testing.T) {
	s := newSite(t)
	if p := s.portGroup("vlan120"); p.Kind != Distributed || p.VLAN != 120 || p.Trunk() || len(p.Hosts) != 3 || p.Policy.Allows(p.Name) != nil || p.Full {
		t.Errorf("%+v", p)
	}
	p := s.portGroup("trunk")
	if !p.Trunk() || !p.Carries(100) || !p.Carries(199) || !p.Carries(300) || p.Carries(200) || p.Carries(99) {
		t.Errorf("%+v", p)
	}
	for _, which := range []string{p.ID, p.Path} {
		if q := s.portGroup(which); q.ID != p.ID || q.Name != "trunk" {
			t.Errorf("%s: %+v", which, q)
		}
	}
	s.refuses(s.portGroup("strict").Policy.Allows("strict"), PolicyForbids, "strict", "Forged transmits", "ipvlan")
	if p := s.portGroup("VM Network"); p.Kind != Standard || p.Trunk() {
		t.Errorf("%+v", p)
	}
	_, err := s.center.PortGroup(t.Context(), "vlan12O")
	s.refuses(err, NoPortGroup, `"vlan12O"`, "vlan120")
	// A name that two switches have.
	folder, err := s.finder().FolderOrDefault(t.Context(), "/DC0/network")
	s.must(err)
	s.done(folder.CreateDVS(t.Context(), types.DVSCreateSpec{ConfigSpec: &types.DVSConfigSpec{Name: "DVS1"}}))
	second, err := s.finder().Network(t.Context(), "DVS1")
	s.must(err)
	task, err := second.(*object.DistributedVirtualSwitch).AddPortgroup(t.Context(), []types.DVPortgroupConfigSpec{{Name: "twice", Type: "earlyBinding"}})
	s.done(task, err)
	if p := s.portGroup("twice"); len(p.Hosts) != 0 {
		t.Errorf("a switch without hosts: %+v", p)
	}
	_, err = s.center.Attach(t.Context(), s.machine().ID, s.portGroup("twice"), blue)
	s.refuses(err, NotOnHost, s.machine().HostName, "twice", "distributed switch")
}

// standard makes a standard port group on each host. The simulator knows one host of each, and keeps what it is told in a place where nobody
// reads it, so the rest is written by hand.
func (s *site) standard(name string, vlan int32, security ...*types.HostNetworkSecurityPolicy) {
	s.Helper()
	hosts, err := s.finder().HostSystemList(s.Context(), "*")
	s.must(err)
	system, err := hosts[0].ConfigManager().NetworkSystem(s.Context())
	s.must(err)
	s.must(system.AddPortGroup(s.Context(), types.HostPortGroupSpec{Name: name, VlanId: vlan, VswitchName: "vSwitch0"}))
	n, err := s.finder().Network(s.Context(), name)
	s.must(err)
	known := s.Model.Service.Context.Map
	network := known.Get(n.Reference()).(*mo.Network)
	for i, h := range hosts {
		network.Host = append(network.Host, h.Reference())
		host := known.Get(h.Reference()).(*simulator.HostSystem)
		own := *host.Config.Network
		own.Portgroup = append(slices.Clone(own.Portgroup), types.HostPortGroup{Spec: types.HostPortGroupSpec{Name: name, VlanId: vlan},
			ComputedPolicy: types.HostNetworkPolicy{Security: security[i%len(security)]}})
		host.Config.Network = &own
	}
}

// Ports of a standard port group on each host, one trunk, one strict on one of the hosts, where it inherits that from its switch.
func TestStandardPortGroups(t *testing.T) {
	s := newSite(t)
	loose := &types.HostNetworkSecurityPolicy{AllowPromiscuous: types.NewBool(true), ForgedTransmits: types.NewBool(true)}
	s.standard("std-all", 4095, loose)
	p := s.portGroup("std-all")
	if p.Kind != Standard || !p.Carries(1) || !p.Carries(4094) || p.Carries(4095) || len(p.Hosts) != 3 || p.Policy.Allows(p.Name) != nil {
		t.Errorf("%+v, %v", p, p.Policy.Allows(p.Name))
	}
	n, err := s.center.Attach(t.Context(), s.machine().ID, p, blue)
	s.must(err)
	if n.PortGroup != p.ID {
		t.Errorf("%+v, want port group %s", n, p.ID)
	}
	s.standard("std-one", 12, loose, &types.HostNetworkSecurityPolicy{AllowPromiscuous: new(bool), ForgedTransmits: types.NewBool(true)})
	strict := s.portGroup("std-one")
	s.refuses(strict.Policy.Allows("std-one"), PolicyForbids, "never come back")
	if strict.VLAN != 12 || strict.Trunk() {
		t.Errorf("%+v", strict)
	}
}

func TestNSX(t *testing.T) {
	s := newSite(t)
	n, err := s.finder().Network(t.Context(), "DVS0")
	s.must(err)
	s.done(n.(*object.DistributedVirtualSwitch).AddPortgroup(t.Context(), []types.DVPortgroupConfigSpec{{Name: "segment", Type: "ephemeral", BackingType: "nsx", LogicalSwitchUuid: "5f0c", SegmentId: "/infra/segments/a"}}))
	p := s.portGroup("segment")
	if p.Kind != NSX || p.Policy.Known || p.Policy.Allows(p.Name) != nil {
		t.Errorf("%+v", p)
	}
	m := s.machine()
	first, err := s.center.Attach(t.Context(), m.ID, p, blue)
	s.must(err)
	again, err := s.center.Attach(t.Context(), m.ID, p, blue)
	s.must(err)
	if first.Owner != "" || again.Key != first.Key || len(s.machine().NICs) != len(m.NICs)+1 {
		t.Errorf("%+v, then %+v", first, again)
	}
	s.must(s.center.Detach(t.Context(), m.ID, first))
	if len(s.machine().NICs) != len(m.NICs) {
		t.Errorf("%+v", s.machine().NICs)
	}
}

// The simulator gives a machine any number of cards; vSphere gives it ten.
func TestMachineIsFull(t *testing.T) {
	s := newSite(t)
	m, p := s.machine(), s.portGroup("vlan120")
	for i := len(m.NICs); i < MostNICs; i++ {
		_, err := s.center.Attach(t.Context(), m.ID, p, fmt.Sprint(Tag, "c/n", i))
		s.must(err)
	}
	_, err := s.center.Attach(t.Context(), m.ID, p, blue)
	s.refuses(err, NoSlot, m.Name, "10 network cards", "trunk")
	if got := s.machine(); len(got.NICs) != MostNICs {
		t.Errorf("%d cards", len(got.NICs))
	}
	if _, err := s.center.Attach(t.Context(), m.ID, p, fmt.Sprint(Tag, "c/n5")); err != nil {
		t.Errorf("one that it has: %v", err)
	}
}

// Two controllers ask at once. vSphere refuses the second change, made at a version that is gone; the simulator does not look at it, so a guard
// before it does.
func TestTwoAtOnce(t *testing.T) {
	s := newSite(t)
	m, p := s.machine(), s.portGroup("vlan120")
	var all sync.WaitGroup
	for range 8 {
		c := s.dial(Login{})
		all.Go(func() {
			for {
				_, err := c.Attach(t.Context(), m.ID, p, blue)
				if err == nil {
					return
				}
				if r := ReasonOf(err); r != Busy {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	if got := s.machine(); len(got.NICs) != len(m.NICs)+1 {
		t.Errorf("%d cards were added", len(got.NICs)-len(m.NICs))
	}
}

func TestWhatVSphereSays(t *testing.T) {
	for _, c := range []struct {
		name   string
		method string
		fault  types.BaseMethodFault
		reason Reason
		says   []string
	}{
		{"a privilege that is missing", "ReconfigVM_Task", &types.NoPermission{PrivilegeId: "Network.Assign"}, Forbidden, []string{"Network.Assign"}},
		{"a machine that vMotion moves", "ReconfigVM_Task", &types.TaskInProgress{}, Busy, nil},
		{"a machine that somebody else changes", "ReconfigVM_Task", &types.ConcurrentAccess{}, Busy, nil},
		{"hot-plug that is forbidden", "ReconfigVM_Task", &types.DeviceHotPlugNotSupported{}, NoHotPlug, []string{"devices.hotplug"}},
		{"something else", "ReconfigVM_Task", &types.InvalidDeviceSpec{}, Refused, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			m, p := s.machine(), s.portGroup("vlan120")
			s.Fail(c.method, c.fault, 1)
			_, err := s.center.Attach(t.Context(), m.ID, p, blue)
			s.refuses(err, c.reason, append(c.says, "vlan120")...)
			if got := s.machine(); len(got.NICs) != len(m.NICs) {
				t.Errorf("%d cards", len(got.NICs))
			}
			_, err = s.center.Attach(t.Context(), m.ID, p, blue)
			s.must(err)
		})
	}
}

// A session ends on the server, and the next call begins another.
func TestSessionEnds(t *testing.T) {
	s := newSite(t)
	m := s.machine()
	s.Fail("RetrievePropertiesEx", &types.NotAuthenticated{}, 1)
	if got, err := s.center.Machine(t.Context(), m.UUID); err != nil || got.ID != m.ID {
		t.Errorf("%+v, %v", got, err)
	}
	s.Fail("RetrievePropertiesEx", &types.NotAuthenticated{}, 0)
	_, err := s.center.PortGroup(t.Context(), "vlan120")
	s.refuses(err, NoLogin)
}

func TestLogin(t *testing.T) {
	s := newSite(t)
	_, err := s.dial(Login{User: "nobody", Password: ""}.with("x")).PortGroup(t.Context(), "vlan120")
	if err != nil { // the simulator lets everybody in; what it says otherwise is in TestWhatVSphereSays
		s.refuses(err, NoLogin)
	}
	_, err = s.dial(Login{Thumbprint: strings.Repeat("00:", 31) + "00"}).PortGroup(t.Context(), "vlan120")
	s.refuses(err, NoLogin, "thumbprint")
	for _, bad := range []Login{{}, {Server: "https://x/sdk", User: "u", Password: "p"}, {Server: "x"}, {Server: "x", User: "u", Password: "p", CA: []byte("no")}, {Server: "x", User: "u", Password: "p", CA: []byte("-"), Thumbprint: "0"}} {
		_, err := New(bad)
		s.refuses(err, NoLogin)
	}
	s.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err = s.dial(Login{}).PortGroup(ctx, "vlan120")
	s.refuses(err, Unavailable)
}

func (l Login) with(password string) Login { l.Password = password; return l }

func TestMachineOfANode(t *testing.T) {
	s := newSite(t)
	m := s.machine()
	if m.UUID == "" || m.HostName == "" || !m.On || !m.HotPlug || len(m.NICs) != 1 || m.NICs[0].MAC == nil {
		t.Errorf("%+v", m)
	}
	// A guest of older virtual hardware has the first fields the other way round.
	if got, err := s.center.Machine(t.Context(), "vsphere://"+strings.ToUpper(swapped(m.UUID))); err != nil || got.ID != m.ID {
		t.Errorf("%+v, %v", got, err)
	}
	_, err := s.center.Machine(t.Context(), "vsphere://423f9d2e-0000-0000-0000-000000000000")
	s.refuses(err, NoMachine, "423f9d2e")
	for _, bad := range []string{"", "aws:///i-1", "vsphere://", "vsphere://xyz"} {
		_, err := s.center.Machine(t.Context(), bad)
		s.refuses(err, NoMachine)
	}
	vm, err := s.finder().VirtualMachine(t.Context(), m.Name)
	s.must(err)
	s.done(vm.Reconfigure(t.Context(), types.VirtualMachineConfigSpec{ExtraConfig: []types.BaseOptionValue{&types.OptionValue{Key: "devices.hotplug", Value: "FALSE"}}}))
	_, err = s.center.Attach(t.Context(), m.ID, s.portGroup("vlan120"), blue)
	s.refuses(err, NoHotPlug, m.Name)
	s.done(vm.PowerOff(t.Context()))
	_, err = s.center.Attach(t.Context(), m.ID, s.portGroup("vlan120"), blue)
	s.refuses(err, Busy, "not powered on")
	var props mo.VirtualMachine
	s.must(vm.Properties(t.Context(), vm.Reference(), []string{"runtime.host"}, &props))
	if props.Runtime.Host.Value != m.Host {
		t.Errorf("host %s, want %s", m.Host, props.Runtime.Host.Value)
	}
}
