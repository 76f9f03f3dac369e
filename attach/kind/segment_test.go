package kind

import "testing"

// What other nodes may be on is told by the configuration alone.
func TestShared(t *testing.T) {
	for _, c := range []struct {
		typ, config string
		want        bool
	}{
		{"macvlan", `{"master":"up1"}`, true},
		{"macvlan", `{}`, true},
		{"macvlan", `{"master":"eth0","linkInContainer":true}`, false},
		{"ipvlan", `{"master":"up1"}`, true},
		{"ipvlan", `{"master":"up1","mode":"l3"}`, false},
		{"ipvlan", `{"master":"up1","mode":"l3s"}`, false},
		{"vlan", `{"master":"up1","vlanId":120}`, true},
		{"vlan", `{"master":"eth0","vlanId":120,"linkInContainer":true}`, false},
		{"host-device", `{"device":"dev0"}`, true},
		{"sriov", `{"deviceID":"0000:03:02.1"}`, true},
		{"ovs", `{"bridge":"br0"}`, true},
		{"bridge", `{"bridge":"br-blue"}`, false},
		{"bridge", `{"bridge":"br-blue","uplink":"up1"}`, true},
		{"ptp", `{}`, false},
		{"tap", `{}`, false},
		{"dummy", `{}`, false},
		{"loopback", `{}`, false},
	} {
		s, err := Parse(c.typ, []byte(c.config))
		if err != nil {
			t.Fatalf("%s %s: %v", c.typ, c.config, err)
		}
		if got := Shared(s); got != c.want {
			t.Errorf("%s %s: %v", c.typ, c.config, got)
		}
	}
}
