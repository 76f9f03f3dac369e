package kind

import (
	"errors"
	"net"
	"reflect"
	"strings"
	"testing"
)

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
			Master: "up1", Mode: "vepa", BCQueueLen: 2000, MAC: mac},
		`{"type":"host-device","device":"up1"}`:                                HostDevice{Device: "up1"},
		`{"type":"host-device","hwaddr":"02:00:5e:10:00:01"}`:                  HostDevice{HWAddr: mac},
		`{"type":"host-device","runtimeConfig":{"deviceID":"0000:00:1f.6"}}`:   HostDevice{PCIBusID: "0000:00:1f.6"},
		`{"type":"host-device","kernelpath":"/sys/devices/virtual/net/dummy"}`: HostDevice{KernelPath: "/sys/devices/virtual/net/dummy"},
	} {
		typ := strings.Split(config, `"`)[3]
		// What CNI itself puts in is passed over without a word.
		config = strings.TrimSuffix(config, "}") + `,"cniVersion":"1.0.0","name":"n","capabilities":{"ips":true},"ipam":{"type":"static"},"dns":{},"prevResult":null}`
		got, err := Parse(typ, []byte(config))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v, %v\nwant %+v", config, got, err, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ typ, config, reason, says string }{
		{"ipvlan", `{}`, "UnknownPlugin", `type "ipvlan" is not built in`},
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
		{"macvlan", `{"linkInContainer":true}`, "UnsupportedOption", "linkInContainer"},
		{"bridge", `{"vlan":5000}`, "InvalidConfig", "from 0 to 4094"},
		{"bridge", `{"vlan":120}`, "UnsupportedOption", `"vlan"`},
		{"bridge", `{"vlanTrunk":[{"id":1}]}`, "UnsupportedOption", `"vlanTrunk"`},
		{"bridge", `{"macspoofchk":true}`, "UnsupportedOption", `"macspoofchk"`},
		{"bridge", `{"enabledad":true}`, "UnsupportedOption", `"enabledad"`},
		{"bridge", `{"disableContainerInterface":true}`, "UnsupportedOption", `"disableContainerInterface"`},
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
	})
}
