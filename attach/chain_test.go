package attach

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestParseDefinition(t *testing.T) {
	for _, c := range []struct {
		config, typ string
		mtu         int
		mac         string
		pools       int
	}{
		{`{"type":"macvlan","master":"up1"}`, "macvlan", 0, "", 0},
		{`{"cniVersion":"0.3.1","name":"x","type":"macvlan","master":"up1","ipam":{}}`, "macvlan", 0, "", 0},
		{`{"type":"bridge","bridge":"br1","ipam":{"type":"whereabouts","range":"10.0.0.0/24"}}`, "bridge", 0, "", 1},
		{`{"plugins":[{"type":"ptp","ipam":{"type":"tsunagu","pools":["a","b"]}}]}`, "ptp", 0, "", 2},
		{"\n{ \"plugins\" : [ {\"type\":\"macvlan\",\"master\":\"up1\"}, {\"type\":\"tuning\",\"mac\":\"02:00:00:00:00:01\",\"mtu\":1400,\"sysctl\":{}} ] }", "macvlan", 1400, "02:00:00:00:00:01", 0},
	} {
		n, err := ParseDefinition(Definition{Namespace: "ns", Name: "net", Config: c.config})
		if err != nil {
			t.Errorf("%s: %v", c.config, err)
			continue
		}
		if n.Spec.Type() != c.typ || n.MTU != c.mtu || n.MAC.String() != c.mac || len(n.IPAM.Pools)+len(n.IPAM.PoolNames) != c.pools || n.Ref != "ns/net" {
			t.Errorf("%s: got %+v", c.config, n)
		}
	}
}

func TestParseDefinitionSaysWhere(t *testing.T) {
	for _, c := range []struct{ config, reason, says string }{
		{"{\n\t\"type\": \"macvlan\",\n\t\"master\": up1\n}", ReasonBadConfig, "line 3, column 12"},
		{`{"type":"macvlan","master":"up1",}`, ReasonBadConfig, "line 1, column 34"},
		{`{"type":"macvlan"} trailing`, ReasonBadConfig, "line 1, column 20"},
		{`{"type":7}`, ReasonBadConfig, `"type" must be a string`},
		{`{"plugins":{}}`, ReasonBadConfig, `"plugins" must be a list`},
		{`{"plugins":[7]}`, ReasonBadConfig, "plugins[0]"},
		{`{"plugins":[null]}`, ReasonBadConfig, "plugins[0]"},
		{`{"plugins":[{"type":"macvlan","master":"up1"},{"type":7}]}`, ReasonBadConfig, "plugins[1]"},
		{`null`, ReasonBadConfig, "object"},
		{`"text"`, ReasonBadConfig, ""},
		{`{"plugins":[{"type":"macvlan","master":"up1"},{"type":"bridge"}]}`, ReasonBadConfig, "second interface"},
		{`{"plugins":[{"type":"macvlan","master":"up1"},{"type":"tuning","sysctl":{"kernel.x":"1"}}]}`, ReasonBadConfig, `"sysctl"`},
		{`{"plugins":[{"type":"macvlan","master":"up1"},{"type":"tuning","mtu":3}]}`, ReasonBadConfig, "3 is not an MTU"},
		{`{"plugins":[{"type":"macvlan","master":"up1"},{"type":"tuning","mac":"x"}]}`, ReasonBadConfig, `"mac"`},
		{`{"type":"ptp","ipam":{"type":"../calico-ipam"}}`, "BadAddressConfig", "../calico-ipam"},
		{`{"type":"ptp","ipam":{"type":"whereabouts","range":"10.0.0.0/33"}}`, "BadAddressConfig", "10.0.0.0/33"},
		{`{"type":"ptp","ipam":7}`, "BadAddressConfig", ""},
	} {
		_, err := ParseDefinition(Definition{Namespace: "ns", Name: "net", Config: c.config})
		var r *Refusal
		if !errors.As(err, &r) || r.Reason != c.reason || !strings.Contains(r.Message, c.says) || !strings.Contains(r.Message, "ns/net") || r.Fix == "" {
			t.Errorf("%s: got %+v, want %s with %q", c.config, r, c.reason, c.says)
		}
	}
}

func FuzzParseDefinition(f *testing.F) {
	for _, s := range []string{blue, `{"plugins":[{"type":"ptp"},{"type":"tuning","mac":"02:00:00:00:00:01"}]}`, `{"type":"host-device","device":"x"}`, `{"plugins":[[]]}`, `{`, "\xff", `{"type":"bridge","vlan":5,"ipam":{"type":"static"}}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, config string) {
		n, err := ParseDefinition(Definition{Namespace: "ns", Name: "net", Config: config})
		if err == nil {
			if n.Spec == nil {
				t.Errorf("%q: neither a kind nor an error", config)
			}
			again, err := ParseDefinition(Definition{Namespace: "ns", Name: "net", Config: config})
			if err != nil || !reflect.DeepEqual(again, n) {
				t.Errorf("%q is read as %+v, and as %+v, %v", config, n, again, err)
			}
			if !json.Valid([]byte(config)) {
				t.Errorf("%q is no JSON and is accepted", config)
			}
			for _, p := range slices.Concat(n.IPAM.Pools...) {
				if !p.Prefix.IsValid() || p.Gateway.IsValid() && p.Gateway.Is4() != p.Prefix.Addr().Is4() {
					t.Errorf("%q: pool %+v", config, p)
				}
			}
			for _, a := range n.IPAM.Static {
				if !a.Prefix.IsValid() || a.Prefix.Addr().IsUnspecified() {
					t.Errorf("%q: address %s", config, a.Prefix)
				}
			}
			return
		}
		var r *Refusal
		if !errors.As(err, &r) || r.Reason == "" || r.Fix == "" || !strings.Contains(r.Message, "ns/net") {
			t.Errorf("%q: %+v is not a whole refusal", config, err)
		}
	})
}
