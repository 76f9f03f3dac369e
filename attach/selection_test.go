package attach

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// outline is a selection as short text: index ns/name@if ips mac default.
func outline(all []Selection) []string {
	var out []string
	for _, s := range all {
		line := s.Network() + "@" + s.IfName
		for _, ip := range s.requested() {
			line += " " + ip
		}
		if len(s.MAC) > 0 {
			line += " " + s.MAC.String()
		}
		if s.WantsDefault {
			line += " default"
		}
		for _, gw := range s.DefaultRoute {
			line += " via " + gw.String()
		}
		out = append(out, line)
	}
	return out
}

func TestParseSelections(t *testing.T) {
	for _, c := range []struct {
		annotation string
		want       []string
	}{
		{"", nil},
		{" \n\t", nil},
		{"blue", []string{"ns/blue@net1"}},
		{"blue,blue", []string{"ns/blue@net1", "ns/blue@net2"}},
		{" other/blue@blue0 ,\n\tred ", []string{"other/blue@blue0", "ns/red@net2"}},
		{"with.dots-1", []string{"ns/with.dots-1@net1"}},
		{"[]", nil},
		{`[{"name":"blue"}]`, []string{"ns/blue@net1"}},
		{"[\n  {\"name\":\"blue\", \"namespace\":\"other\"},\n  {\"name\":\"red\",\"interface\":\"data\"}\n]", []string{"other/blue@net1", "ns/red@data"}},
		{`[{"name":"blue","interfaceRequest":"old0"}]`, []string{"ns/blue@old0"}},
		{`[{"name":"blue","interface":"new0","interfaceRequest":"old0"}]`, []string{"ns/blue@new0"}},
		{`[{"name":"blue","ips":["10.1.2.3","10.1.2.4/24","fd00::5/64"],"mac":"02:00:5E:10:00:01"}]`,
			[]string{"ns/blue@net1 10.1.2.3 10.1.2.4/24 fd00::5/64 02:00:5e:10:00:01"}},
		{`[{"name":"blue","default-route":["10.1.2.1","fd00::1"]}]`, []string{"ns/blue@net1 default via 10.1.2.1 via fd00::1"}},
		{`[{"name":"blue","default-route":["10.1.2.1"]},{"name":"red","default-route":["fe80::1"]}]`,
			[]string{"ns/blue@net1 default via 10.1.2.1", "ns/red@net2 default via fe80::1"}},
		{`[{"name":"blue","default-route":[]}]`, []string{"ns/blue@net1 default"}},
		{`[{"name":"blue","default-route":null,"ips":null,"mac":"","portMappings":[],"bandwidth":{},"cni-args":null,"deviceID":""}]`, []string{"ns/blue@net1"}},
	} {
		got, err := ParseSelections(c.annotation, "ns")
		if err != nil {
			t.Errorf("%q: %v", c.annotation, err)
			continue
		}
		if diff := cmp.Diff(c.want, outline(got)); diff != "" {
			t.Errorf("%q: %s", c.annotation, diff)
		}
	}
}

func TestParseSelectionsRefuses(t *testing.T) {
	for _, c := range []struct {
		annotation, reason string
		says               []string
	}{
		{"a,,b", ReasonBadSelection, []string{"element 2", "empty"}},
		{"a,", ReasonBadSelection, []string{"element 2"}},
		{"Blue", ReasonBadSelection, []string{"element 1", `"name"`, "Blue"}},
		{"a b", ReasonBadSelection, []string{"a b"}},
		{"x/y/z", ReasonBadSelection, []string{"'/' too many"}},
		{"/y", ReasonBadSelection, []string{"element 1"}},
		{"x/", ReasonBadSelection, []string{"names no network"}},
		{"a@", ReasonBadSelection, []string{"interface"}},
		{"a@b@c", ReasonBadSelection, []string{"interface"}},
		{"a@0123456789abcdef", ReasonBadSelection, []string{"0123456789abcdef"}},
		{"a@b/c", ReasonBadSelection, nil},
		{"a@eth0", ReasonInterfaceConflict, []string{"eth0", "pod network"}},
		{"a@net2,b", ReasonInterfaceConflict, []string{"element 2", "net2", "element 1"}},
		{`{"name":"a"}`, ReasonBadSelection, []string{"must be a list"}},
		{"[{\"name\":\"a\"},\n {\"name\" \"b\"}]", ReasonBadSelection, []string{"line 2, column 10"}},
		{`[{"name":"a"}`, ReasonBadSelection, []string{"ends too early"}},
		{`[{"name":"a"}] x`, ReasonBadSelection, []string{"follows the list"}},
		{`["a"]`, ReasonBadSelection, []string{"element 1", "object"}},
		{`[null]`, ReasonBadSelection, []string{"element 1"}},
		{`"a"`, ReasonBadSelection, nil},
		{`[{"namespace":"x"}]`, ReasonBadSelection, []string{`"name"`, "missing"}},
		{`[{"name":7}]`, ReasonBadSelection, []string{`"name"`, "must be a string, not 7"}},
		{`[{"name":"a","ips":"10.0.0.1"}]`, ReasonBadSelection, []string{`"ips"`, "a list of strings"}},
		{`[{"name":"a","ips":["10.0.0.300"]}]`, ReasonBadSelection, []string{"ips[0]", "10.0.0.300"}},
		{`[{"name":"a","ips":["10.0.0.1","10.0.0.1/24"]}]`, ReasonBadSelection, []string{"ips[1]", "twice"}},
		{`[{"name":"a","ips":["127.0.0.1"]}]`, ReasonBadSelection, []string{"ips[0]"}},
		{`[{"name":"a","mac":"01:00:5e:00:00:01"}]`, ReasonBadSelection, []string{`"mac"`, "group"}},
		{`[{"name":"a","mac":"zz"}]`, ReasonBadSelection, []string{`"mac"`}},
		{`[{"name":"a","default-route":["nonsense"]}]`, ReasonBadSelection, []string{"default-route[0]"}},
		{`[{"name":"a","default-route":["10.0.0.1","10.0.0.2"]}]`, ReasonBadDefaultRoute, []string{"one"}},
		{`[{"name":"a","default-route":["10.0.0.1"]},{"name":"b","default-route":["10.1.0.1"]}]`, ReasonBadDefaultRoute, []string{"element 2", "element 1"}},
		{`[{"name":"a","bandwidth":{"ingressRate":-1}}]`, ReasonBadSelection, []string{`"bandwidth"`, "whole numbers"}},
		{`[{"name":"a","portMappings":[{"hostPort":1}]}]`, ReasonBadSelection, []string{`"portMappings[0]"`, "containerPort 0"}},
		{`[{"name":"a","portMappings":{"hostPort":1}}]`, ReasonBadSelection, []string{`"portMappings"`, "must be a list"}},
		{`[{"name":"a","cni-args":"x"}]`, ReasonBadSelection, []string{`"cni-args"`, "must be an object"}},
		{`[{"name":"a","deviceID":7}]`, ReasonBadSelection, []string{`"deviceID"`, "must be a string"}},
		{`[{"name":"a","infiniband-guid":"c2"}]`, ReasonBadSelection, []string{`"infiniband-guid"`, "not a GUID"}},
		{`[{"name":"a","ip":["10.0.0.1"]}]`, ReasonUnsupportedField, []string{`"ip"`}},
		{`[{"name":"a","ips":["10.0.0.1"],"ips":["10.0.0.2"]}]`, ReasonBadSelection, []string{`"ips"`, "written twice"}},
		{`[{"name":"a","interfce":"x"}]`, ReasonUnsupportedField, []string{`"interfce"`}},
	} {
		_, err := ParseSelections(c.annotation, "ns")
		var r *Refusal
		if !errors.As(err, &r) {
			t.Errorf("%q: got %v, want a refusal", c.annotation, err)
			continue
		}
		if r.Reason != c.reason || r.Fix == "" {
			t.Errorf("%q: reason %s, fix %q; want %s", c.annotation, r.Reason, r.Fix, c.reason)
		}
		for _, word := range c.says {
			if !strings.Contains(r.Message, word) {
				t.Errorf("%q: message %q does not say %q", c.annotation, r.Message, word)
			}
		}
	}
	_, err := ParseSelections(`[{"name":"a","interfce":"x"}]`, "ns")
	var r *Refusal
	if !errors.As(err, &r) || r.Fix != `write "interface"` {
		t.Errorf("a misspelt field: fix %q", r.Fix)
	}
}

// Both forms of one selection are read alike.
func TestFormsAgree(t *testing.T) {
	name := rapid.StringMatching(`[a-z0-9]([-a-z0-9]{0,8}[a-z0-9])?`)
	rapid.Check(t, func(t *rapid.T) {
		var short, long []string
		for i := range rapid.IntRange(1, 5).Draw(t, "elements") {
			n := name.Draw(t, "name")
			item, object := n, `"name":"`+n+`"`
			if rapid.Bool().Draw(t, "namespaced") {
				ns := name.Draw(t, "namespace")
				item, object = ns+"/"+item, object+`,"namespace":"`+ns+`"`
			}
			if rapid.Bool().Draw(t, "named") {
				ifName := "if" + string(rune('a'+i))
				item, object = item+"@"+ifName, object+`,"interface":"`+ifName+`"`
			}
			short, long = append(short, item), append(long, "{"+object+"}")
		}
		a, errA := ParseSelections(strings.Join(short, ", "), "ns")
		b, errB := ParseSelections("["+strings.Join(long, ",")+"]", "ns")
		if errA != nil || errB != nil {
			t.Fatalf("%v; %v", errA, errB)
		}
		if diff := cmp.Diff(outline(a), outline(b)); diff != "" {
			t.Fatal(diff)
		}
	})
}

// interfaceName is the kernel's rule for names (dev_valid_name), and none of those that a Pod has already.
func interfaceName(s string) bool {
	return s != "" && len(s) <= 15 && s != "." && s != ".." && s != "lo" && s != "eth0" && !strings.ContainsFunc(s, func(r rune) bool { return r == '/' || r == ':' || unicode.IsSpace(r) || r < ' ' })
}

// written is an annotation that says what was read.
func written(t *testing.T, all []Selection) string {
	elements := []map[string]any{}
	for _, s := range all {
		e := map[string]any{"name": s.Name, "namespace": s.Namespace}
		if !s.Auto {
			e["interface"] = s.IfName
		}
		if len(s.IPs) > 0 {
			e["ips"] = s.requested()
		}
		if len(s.MAC) > 0 {
			e["mac"] = s.MAC.String()
		}
		if s.Claim != "" {
			e["ipam-claim-reference"] = s.Claim
		}
		if len(s.Ports) > 0 {
			ports := []map[string]any{}
			for _, m := range s.Ports {
				port := map[string]any{"hostPort": m.HostPort, "containerPort": m.ContainerPort, "protocol": m.Protocol.String()}
				if m.HostIP.IsValid() {
					port["hostIP"] = m.HostIP.String()
				}
				ports = append(ports, port)
			}
			e["portMappings"] = ports
		}
		if s.Bandwidth != nil {
			e["bandwidth"] = s.Bandwidth
		}
		if s.DeviceID != "" {
			e["deviceID"] = s.DeviceID
		}
		if s.GUID != "" {
			e["infiniband-guid"] = s.GUID
		}
		if len(s.CNIArgs) > 0 {
			e["cni-args"] = s.CNIArgs
		}
		if s.WantsDefault {
			gateways := []string{}
			for _, gw := range s.DefaultRoute {
				gateways = append(gateways, gw.String())
			}
			e["default-route"] = gateways
		}
		elements = append(elements, e)
	}
	text, err := json.Marshal(elements)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// forPlugins is what of selections only plugins read.
func forPlugins(all []Selection) (lines []string) {
	for _, s := range all {
		line := ""
		line += fmt.Sprintf(" %v %q %q", s.Ports, s.DeviceID, s.GUID)
		if s.Bandwidth != nil {
			line += fmt.Sprintf(" %+v", *s.Bandwidth)
		}
		for _, key := range slices.Sorted(maps.Keys(s.CNIArgs)) {
			var value any
			_ = json.Unmarshal(s.CNIArgs[key], &value)
			line += fmt.Sprintf(" %q: %v", key, value)
		}
		lines = append(lines, line)
	}
	return lines
}

func FuzzParseSelections(f *testing.F) {
	for _, s := range []string{"a,b/c@d", `[{"name":"a","ips":["10.0.0.1/8"],"mac":"02:00:00:00:00:01","default-route":["::1"]}]`, `[{"name":"a","portMappings":[{"hostPort":8080,"containerPort":80,"protocol":"udp","hostIP":"::1"}],"bandwidth":{"ingressRate":8,"ingressBurst":9},"deviceID":"0000:03:02.1","infiniband-guid":"c2:11:22:33:44:55:66:77","cni-args":{"a":[1,"b"]}}]`,
		`[{}`, `[{"name":"\u0000"}]`, "\xff", `[[[`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, annotation string) {
		all, err := ParseSelections(annotation, "ns")
		if err != nil {
			var r *Refusal
			if !errors.As(err, &r) || r.Reason == "" || r.Message == "" || r.Fix == "" {
				t.Errorf("%q: %v is not a whole refusal", annotation, err)
			}
			return
		}
		names := map[string]bool{}
		for _, s := range all {
			if s.Name == "" || s.Namespace == "" || names[s.IfName] || !interfaceName(s.IfName) {
				t.Errorf("%q: %+v", annotation, s)
			}
			names[s.IfName] = true
			for i, ip := range s.IPs {
				if !ip.Addr.IsValid() || ip.Addr.Is4In6() || ip.Addr.IsUnspecified() || ip.Addr.IsMulticast() || ip.Addr.Zone() != "" || ip.Bits > ip.Addr.BitLen() || slices.Contains(s.IPs[:i], ip) {
					t.Errorf("%q: address %s of %+v", annotation, ip.Addr, s)
				}
			}
			if n := len(s.MAC); n != 0 && (n != 6 || s.MAC[0]&1 != 0 || bytes.Equal(s.MAC, make([]byte, 6))) {
				t.Errorf("%q: MAC %s", annotation, s.MAC)
			}
			for _, gw := range s.DefaultRoute {
				if !gw.IsValid() || gw.IsUnspecified() || gw.IsMulticast() || gw.Is4In6() {
					t.Errorf("%q: gateway %s", annotation, gw)
				}
			}
		}
		again, err := ParseSelections(written(t, all), "ns")
		if err != nil || !slices.Equal(outline(again), outline(all)) || !slices.Equal(forPlugins(again), forPlugins(all)) {
			t.Errorf("%q: what was read is %q, written down and read again %q, %v", annotation, outline(all), outline(again), err)
		}
	})
}

func TestPosition(t *testing.T) {
	for offset, want := range map[int64]string{0: "line 1, column 1", 3: "line 1, column 3", 5: "line 2, column 1", 99: "line 2, column 3", -1: "line 1, column 1"} {
		if got := position("aé\r\nbc", offset); got != want {
			t.Errorf("offset %d: %s, want %s", offset, got, want)
		}
	}
}
