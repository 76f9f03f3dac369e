package kind

import (
	"errors"
	"fmt"
	"net"
	"reflect"
	"strings"
	"testing"

	"github.com/tsunagu-net/tsunagu/kernel/link"
)

func number(n uint32) *uint32 { return &n }
func short(n uint16) *uint16  { return &n }
func flag(b bool) *bool       { return &b }

func TestParse(t *testing.T) {
	mac := net.HardwareAddr{2, 0, 0x5e, 0x10, 0, 1}
	for config, want := range map[string]Spec{
		`{"type":"loopback"}`:          Loopback{},
		`{"type":"pod","mtu":1400}`:    Pod{MTU: 1400},
		`{"type":"ptp","ipMasq":true}`: PTP{IPMasq: true},
		`{"type":"bridge"}`:            Bridge{Name: "cni0"},
		`{"type":"bridge","bridge":"br1","uplink":"up1","isDefaultGateway":true,"mtu":9000,"vlan":0,"vlanTrunk":[],"macspoofchk":false,"args":{"cni":{"mac":"02:00:5e:10:00:01"}}}`: Bridge{
			Name: "br1", Uplink: "up1", IsGateway: true, IsDefaultGateway: true, MTU: 9000, MAC: mac},
		`{"type":"macvlan"}`: Macvlan{Mode: "bridge"},
		`{"type":"macvlan","Master":"up1","mode":"vepa","bcqueuelen":2000,"mac":"02:00:5e:10:00:01","linkInContainer":false}`: Macvlan{
			Below: Below{Master: "up1"}, Mode: "vepa", BCQueueLen: 2000, MAC: mac},
		`{"type":"macvlan","master":"eth0","linkInContainer":true}`: Macvlan{Below: Below{Master: "eth0", InPod: true}, Mode: "bridge"},
		`{"type":"ipvlan"}`: IPVLAN{Mode: "l2"},
		`{"type":"ipvlan","master":"up1","mode":"l3s","mtu":1400,"linkInContainer":true}`: IPVLAN{Below: Below{Master: "up1", MTU: 1400, InPod: true}, Mode: "l3s"},
		`{"type":"ipvlan","prevResult":{"interfaces":[{"name":"eni5"}],"ips":[]}}`:        IPVLAN{Below: Below{Master: "eni5"}, Mode: "l2"},
		`{"type":"vlan","master":"up1","vlanId":120,"mtu":1400}`:                          VLAN{Below: Below{Master: "up1", MTU: 1400}, ID: 120},
		`{"type":"vlan","master":"up1","linkInContainer":true}`:                           VLAN{Below: Below{Master: "up1", InPod: true}},
		`{"type":"trunk","trunk":"eth1","vlan":4094}`:                                     Trunk{Name: "eth1", ID: 4094, AntiSpoof: ByAddress},
		`{"type":"trunk","trunk":"eth1","vlan":1,"datapath":"bridge","antiSpoof":"none","mtu":1400,"args":{"cni":{"mac":"02:00:5e:10:00:01"}}}`: Trunk{
			Name: "eth1", ID: 1, Datapath: SubInterface, AntiSpoof: ByNothing, MTU: 1400, MAC: mac},
		`{"type":"ovs","bridge":"br1"}`: OVS{Bridge: "br1"},
		`{"type":"ovs","bridge":"br1","vlan":0,"mtu":1400,"ofport_request":7,"interface_type":"system","configuration_path":"/x","socket_file":"/y","link_state_check_retries":3,"link_state_check_interval":100}`: OVS{
			Bridge: "br1", Tag: new(uint16), MTU: 1400, Number: 7, Interface: "system", ConfigPath: "/x", ovsAccess: ovsAccess{"/y", 3, 100}},
		`{"type":"ovs","bridge":"br1","vlan":5,"trunk":[{"id":0},{"minID":2,"maxID":4}]}`: OVS{Bridge: "br1", Trunk: []link.VLANs{{From: 0, To: 0}, {From: 2, To: 4}}},
		`{"type":"host-device","runtimeConfig":{"deviceID":"mlx5_core.sf.4"}}`:            HostDevice{PCIBusID: "mlx5_core.sf.4"},
		`{"type":"sriov","deviceID":"0000:03:02.3"}`:                                      SRIOV{HostDevice: HostDevice{PCIBusID: "0000:03:02.3"}},
		`{"type":"sriov","pciBusID":"0000:03:02.3","vlan":1000,"vlanQoS":4,"vlanProto":"802.1ad","min_tx_rate":100,"max_tx_rate":200,"spoofchk":"off","trust":"on","link_state":"enable","mac":"02:00:5e:10:00:01","logLevel":"debug","logFile":"/x"}`: SRIOV{
			HostDevice: HostDevice{PCIBusID: "0000:03:02.3"}, MAC: mac, Want: link.FunctionChange{VLAN: short(1000), Priority: 4, Service: true,
				MinRate: number(100), MaxRate: number(200), SpoofCheck: flag(false), Trust: flag(true), State: "enable", MAC: mac}},
		`{"type":"sriov","deviceID":"0000:03:02.3","vlan":0,"max_tx_rate":50}`: SRIOV{HostDevice: HostDevice{PCIBusID: "0000:03:02.3"},
			Want: link.FunctionChange{VLAN: short(0), MinRate: number(0), MaxRate: number(50)}},
		`{"type":"dummy"}`: Dummy{},
		`{"type":"tap"}`:   Tap{},
		`{"type":"tap","multiQueue":true,"owner":0,"group":107,"bridge":"br0","mtu":1400,"mac":"02:00:5e:10:00:01","selinuxContext":""}`: Tap{
			MultiQueue: true, Owner: number(0), Group: number(107), Bridge: "br0", MTU: 1400, MAC: mac},
		`{"type":"bridge","vlan":100,"vlanTrunk":[{"minID":200,"maxID":299},{"id":300},{"id":5,"minID":250,"maxID":260}],"preserveDefaultVlan":true}`: Bridge{
			Name: "cni0", VLAN: 100, Trunk: []link.VLANs{{From: 5, To: 5}, {From: 200, To: 300}}, PreserveDefaultVLAN: true},
		`{"type":"bridge","macspoofchk":true,"enabledad":true,"disableContainerInterface":true,"ipMasqBackend":"nftables"}`: Bridge{
			Name: "cni0", MACSpoofCheck: true, DetectDuplicates: true, Down: true},
		`{"type":"host-device","device":"up1"}`:                                HostDevice{Device: "up1"},
		`{"type":"host-device","hwaddr":"02:00:5e:10:00:01"}`:                  HostDevice{HWAddr: mac},
		`{"type":"host-device","runtimeConfig":{"deviceID":"0000:00:1f.6"}}`:   HostDevice{PCIBusID: "0000:00:1f.6"},
		`{"type":"host-device","kernelpath":"/sys/devices/virtual/net/dummy"}`: HostDevice{KernelPath: "/sys/devices/virtual/net/dummy"},
	} {
		typ := strings.Split(config, `"`)[3]
		// What CNI itself puts in is passed over without a word.
		config = strings.TrimSuffix(config, "}") + `,"cniVersion":"1.0.0","name":"n","capabilities":{"ips":true},"ipam":{"type":"static"},"dns":{}}`
		got, err := Parse(typ, []byte(config))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v, %v\nwant %+v", config, got, err, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ typ, config, reason, says string }{
		{"frobnicate", `{}`, "UnknownPlugin", `type "frobnicate" is not built in`},
		{"macvlan", `{"Master":"up1","MASTER":"up2"}`, "InvalidConfig", "is written twice"},
		{"macvlan", `{"master":"up1","Master":"up2"}`, "InvalidConfig", "is written twice"},
		{"trunk", `{"vlan":120}`, "InvalidConfig", "the name of the node's interface that carries the VLANs is missing"},
		{"trunk", `{"trunk":"eth1"}`, "InvalidConfig", "the number of the VLAN is missing"},
		{"trunk", `{"trunk":"eth1","vlan":0}`, "InvalidConfig", "want a number from 1 to 4094, have 0"},
		{"trunk", `{"trunk":"eth1","vlan":4095}`, "InvalidConfig", "want a number from 1 to 4094, have 4095"},
		{"trunk", `{"trunk":"eth1","vlan":"120"}`, "InvalidConfig", `want a whole number, have "120"`},
		{"trunk", `{"trunk":"eth1","vlan":120,"datapath":"ovs"}`, "InvalidConfig", "want one of auto, ebpf, bridge"},
		{"trunk", `{"trunk":"eth1","vlan":120,"antiSpoof":"ip"}`, "InvalidConfig", "want one of addresses, mac, none"},
		{"ipvlan", `{"mode":"l4"}`, "InvalidConfig", `want one of l2, l3, l3s, have "l4"`},
		{"ipvlan", `{"prevResult":{"interfaces":[]}}`, "InvalidConfig", "PrevResult lacks a single named interface"},
		{"ipvlan", `{"prevResult":{"interfaces":[{"name":"a"},{"name":"b"}]}}`, "InvalidConfig", "PrevResult lacks a single named interface"},
		{"sriov", `{}`, "InvalidConfig", "VF pci addr is required"},
		{"sriov", `{"deviceID":"3:02.3"}`, "InvalidConfig", "is not a PCI address"},
		{"sriov", `{"deviceID":"0000:03:02.3","vlan":4095}`, "InvalidConfig", "from 0 to 4094"},
		{"sriov", `{"deviceID":"0000:03:02.3","vlanQoS":3}`, "InvalidConfig", "non-zero vlan id must be configured"},
		{"sriov", `{"deviceID":"0000:03:02.3","vlan":5,"vlanQoS":8}`, "InvalidConfig", "range 0-7"},
		{"sriov", `{"deviceID":"0000:03:02.3","vlan":0,"vlanProto":"802.1ad"}`, "InvalidConfig", "to set vlan proto 802.1ad"},
		{"sriov", `{"deviceID":"0000:03:02.3","vlanProto":"802.1q"}`, "InvalidConfig", "vlan id must be configured to set vlan proto"},
		{"sriov", `{"deviceID":"0000:03:02.3","vlan":5,"vlanProto":"x"}`, "InvalidConfig", "vlan Proto x invalid"},
		{"sriov", `{"deviceID":"0000:03:02.3","spoofchk":"yes"}`, "InvalidConfig", "want on or off"},
		{"sriov", `{"deviceID":"0000:03:02.3","link_state":"up"}`, "InvalidConfig", "invalid link_state value: up"},
		{"sriov", `{"deviceID":"0000:03:02.3","min_tx_rate":9,"max_tx_rate":5}`, "InvalidConfig", "more than max_tx_rate"},
		{"ovs", `{}`, "InvalidConfig", "failed to get bridge name"},
		{"ovs", `{"bridge":"b","vlan":4095}`, "InvalidConfig", "from 0 to 4094"},
		{"ovs", `{"bridge":"b","deviceID":"0000:03:02.3"}`, "UnsupportedOption", "representor"},
		{"ovs", `{"bridge":"b","runtimeConfig":{"deviceID":"0000:03:02.3"}}`, "UnsupportedOption", "representor"},
		{"vlan", `{"vlanId":5}`, "InvalidConfig", `"master" field is required`},
		{"vlan", `{"master":"up1","vlanId":4095}`, "InvalidConfig", "from 0 to 4094"},
		{"vlan", `{"master":"up1","vlanId":-1}`, "InvalidConfig", "from 0 to 4094"},
		{"tap", `{"selinuxContext":"system_u:system_r:container_t:s0"}`, "UnsupportedOption", "run the agent with the label"},
		{"tap", `{"owner":-1}`, "InvalidConfig", "number of a user"},
		{"tap", `{"group":"kvm"}`, "InvalidConfig", "number of a user or group"},
		{"", `{}`, "UnknownPlugin", `type ""`},
		{"macvlan", "{\n\"master\": \"up1\",,}", "InvalidConfig", "line 2 column 17"},
		{"macvlan", `[]`, "InvalidConfig", "want an object, have array"},
		{"macvlan", `null`, "InvalidConfig", "want an object"},
		{"macvlan", ``, "InvalidConfig", "line 1"},
		{"macvlan", `{"master":5}`, "InvalidConfig", `"master": want a text, have 5`},
		{"macvlan", `{"master":"a name that is too long"}`, "InvalidConfig", "at most 15 bytes"},
		{"macvlan", `{"mode":"brdige"}`, "InvalidConfig", `want one of bridge, private, vepa, passthru, have "brdige"`},
		{"macvlan", `{"mtu":"1500"}`, "InvalidConfig", `"mtu": want a whole number, have "1500"`},
		{"macvlan", `{"mtu":1500.5}`, "InvalidConfig", `have 1500.5`},
		{"macvlan", `{"mtu":-1}`, "InvalidConfig", "from 0 to 65535"},
		{"macvlan", `{"mtu":20}`, "InvalidConfig", "at least 68"},
		{"macvlan", `{"bcqueuelen":-1}`, "InvalidConfig", "bcqueuelen"},
		{"macvlan", `{"mac":"02:00"}`, "InvalidConfig", `"mac"`},
		{"macvlan", `{"mac":"01:00:5e:00:00:01"}`, "InvalidConfig", "group address"},
		{"bridge", `{"vlan":5000}`, "InvalidConfig", "from 0 to 4094"},
		{"bridge", `{"vlanTrunk":{}}`, "InvalidConfig", "want a list"},
		{"bridge", `{"vlanTrunk":[{"id":0}]}`, "InvalidConfig", "incorrect trunk id parameter"},
		{"bridge", `{"vlanTrunk":[{"minID":0,"maxID":5}]}`, "InvalidConfig", "incorrect trunk minID parameter"},
		{"bridge", `{"vlanTrunk":[{"minID":5,"maxID":4095}]}`, "InvalidConfig", "incorrect trunk maxID parameter"},
		{"bridge", `{"vlanTrunk":[{"minID":5,"maxID":4}]}`, "InvalidConfig", "minID is greater than maxID"},
		{"bridge", `{"vlanTrunk":[{"minID":5}]}`, "InvalidConfig", "maxID is missing"},
		{"bridge", `{"vlanTrunk":[{"maxID":5}]}`, "InvalidConfig", "minID is missing"},
		{"bridge", `{"hairpinMode":true,"promiscMode":true}`, "InvalidConfig", "cannot set hairpin mode and promiscuous mode at the same time"},
		{"bridge", `{"isGateway":"yes"}`, "InvalidConfig", "want true or false"},
		{"bridge", `{"bridge":"b","uplink":"b"}`, "InvalidConfig", "the bridge itself"},
		{"bridge", `{"args":{"cni":{"mac":1}}}`, "InvalidConfig", `"args.cni.mac"`},
		{"bridge", `{"ipMasqBackend":"pf"}`, "InvalidConfig", "iptables, nftables"},
		{"host-device", `{}`, "InvalidConfig", `specify either "device"`},
		{"host-device", `{"device":"a","hwaddr":"02:00:00:00:00:01"}`, "InvalidConfig", `specify either "device"`},
		{"host-device", `{"pciBusID":"00:1f.6"}`, "InvalidConfig", "0000:00:1f.6"},
		{"host-device", `{"kernelpath":"/sys/devices/../../etc"}`, "InvalidConfig", "not below"},
	} {
		_, err := Parse(c.typ, []byte(c.config))
		refusal, ok := errors.AsType[Refusal](err)
		if !ok || refusal.Reason() != c.reason || !strings.Contains(err.Error(), c.says) || refusal.Fix() == "" {
			t.Errorf("%s %s: %v", c.typ, c.config, err)
		}
	}
}

func TestUnknownKeysAreNamed(t *testing.T) {
	s, err := Parse("macvlan", []byte(`{"master":"up1","colour":"blue","MTU":1400,"ipMasq":true}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`macvlan configuration: key "colour" is not known and ignored`, `macvlan configuration: "ipMasq" has no effect, packets do not pass the node`}
	if got := s.Warnings(); !reflect.DeepEqual(got, want) {
		t.Errorf("warnings %q", got)
	}
}

// FuzzParse: whatever is written into a network, the answer is a Spec or a Refusal.
func FuzzParse(f *testing.F) {
	for _, typ := range Names() {
		f.Add(typ, `{"master":"up1","mtu":1500,"args":{"cni":{"mac":"02:00:00:00:00:01"}},"device":"x"}`)
		f.Add(typ, `{"vlanTrunk":[{"minID":1}],"bridge":null,"runtimeConfig":{"deviceID":"0000:00:1f.6"}}`)
	}
	f.Fuzz(func(t *testing.T, typ, config string) {
		s, err := Parse(typ, []byte(config))
		if _, ok := errors.AsType[Refusal](err); err != nil && !ok {
			t.Errorf("not a Refusal: %v", err)
		}
		if err == nil && s.Type() != typ {
			t.Errorf("%q gave a %s", typ, s.Type())
		}
		again, err2 := Parse(typ, []byte(config))
		if fmt.Sprint(err) != fmt.Sprint(err2) || !reflect.DeepEqual(s, again) {
			t.Errorf("%q is read once as %+v, %v and once as %+v, %v", config, s, err, again, err2)
		}
	})
}
