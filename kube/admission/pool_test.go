package admission

import (
	"strings"
	"testing"
)

func poolOf(name, spec string) string { return "metadata: {name: " + name + "}\nspec: " + spec }

func TestPools(t *testing.T) {
	for name, c := range map[string]struct {
		next, old string
		want      []string
	}{
		"fine":           {poolOf("red", `{domain: red, cidr: 10.7.0.0/24, fallback: [blue-a], quotas: [{namespace: team, max: 3}, {namespace: "*", max: 1}]}`), "", nil},
		"nothing left":   {poolOf("red", `{domain: red, cidr: 10.7.0.0/30, exclude: [10.7.0.0/30]}`), "", []string{"no address is left"}},
		"exclude":        {poolOf("red", `{domain: red, cidr: 10.7.0.0/24, exclude: [10.8.0.1]}`), "", []string{"exclude 10.8.0.1 lies outside"}},
		"podCIDR":        {poolOf("red", `{domain: red, cidr: 10.244.0.0/16}`), "", []string{"podCIDR 10.244.0.0/24 of node node1"}},
		"podCIDR 6":      {poolOf("red", `{domain: red, cidr: "fd00:10:244::/56"}`), "", []string{"podCIDR fd00:10:244::/64 of node node1"}},
		"Services":       {poolOf("red", `{domain: red, cidr: 10.96.1.0/24}`), "", []string{"range of Services 10.96.0.0/16"}},
		"node":           {poolOf("red", `{domain: red, cidr: 192.0.2.0/24}`), "", []string{"192.0.2.11, the address of node node1|add it to exclude"}},
		"node, excluded": {poolOf("red", `{domain: red, cidr: 192.0.2.0/24, exclude: [192.0.2.0/28]}`), "", nil},
		"duplicate":      {poolOf("blue-b", `{domain: blue, cidr: 192.168.90.0/25}`), "", []string{"shares addresses with IPPool blue-a"}},
		"fallbacks": {poolOf("red", `{domain: red, cidr: "fd00:7::/64", fallback: [blue-c, blue-a, red]}`), "",
			[]string{"fallback[0]: IPPool blue-c does not exist; near names: blue-a", "fallback[1]|another address family", "fallback[2] is the pool itself"}},
		"quota": {poolOf("red", `{domain: red, cidr: 10.7.0.0/24, quotas: [{namespace: tema, max: 3}]}`), "", []string{"namespace tema does not exist"}},
		"shrunk in use": {poolOf("blue-a", `{domain: blue, cidr: 192.168.90.0/24, ranges: [192.168.90.10-192.168.90.20]}`), poolOf("blue-a", `{domain: blue, cidr: 192.168.90.0/24}`),
			[]string{"1 address is in use and no longer in the pool: 192.168.90.33"}},
		"not changed": {poolOf("red", `{domain: red, cidr: 10.96.1.0/24}`), poolOf("red", `{domain: red, cidr: 10.96.1.0/24}`), nil},
		"deleted in use": {"", poolOf("blue-a", `{domain: blue, cidr: 192.168.90.0/24, ranges: [192.168.90.10-192.168.90.20]}`),
			[]string{"deleted while 2 addresses are in use", "no longer be attached to team/blue"}},
		"deleted unused": {"", poolOf("red", `{domain: red, cidr: 10.7.0.0/24}`), nil},
	} {
		t.Run(name, func(t *testing.T) {
			says(t, ask(t, world(t), review(t, "ippools", "IPPool", "", c.next, c.old)), c.want...)
		})
	}
}

// A pool that can never work is refused in the words of ipam, and one that
// was there before may still be labelled and deleted.
func TestImpossiblePools(t *testing.T) {
	bad := poolOf("red", `{domain: red, cidr: 10.7.0.0/24, routes: [{dst: default}]}`)
	got := ask(t, world(t), review(t, "ippools", "IPPool", "", bad, ""))
	if got.Allowed || !strings.Contains(got.Result.Message, "IPPool red: spec.routes[0].dst") || !strings.Contains(got.Result.Message, "To fix") {
		t.Errorf("got %+v", got)
	}
	says(t, ask(t, world(t), review(t, "ippools", "IPPool", "", bad, bad)))
	says(t, ask(t, world(t), review(t, "ippools", "IPPool", "", "", bad)))
}

func TestNetworks(t *testing.T) {
	of := func(spec string) string { return "metadata: {name: blue}\nspec: " + spec }
	for name, c := range map[string]struct {
		next, old string
		want      []string
	}{
		"fine": {of(`{attachment: {kind: ptp}, subnets: [{cidr: 10.7.0.0/24}], namespaces: {names: [team]}}`), "", nil},
		"subnets": {of(`{attachment: {kind: ptp}, subnets: [{cidr: 10.244.0.0/24}, {cidr: 10.7.0.0/24, quotas: [{namespace: tema, max: 1}]}]}`), "",
			[]string{"spec.subnets[0]|podCIDR", "spec.subnets[1]|tema"}},
		"namespaces": {of(`{attachment: {kind: ptp}, namespaces: {names: [tema], selector: {matchExpressions: [{key: a, operator: Nope}]}}}`), "",
			[]string{"selector", "namespace tema does not exist"}},
		"VLAN taken": {of(`{attachment: {kind: bridge}, reach: {trunk: eth1, vlan: 120}, subnets: [{cidr: 10.120.7.0/24}]}`), "",
			[]string{"Network blue: VLAN 120 of trunk eth1 is that of Network prod, which is older|overlaps its 10.120.0.0/16"}},
		"VLAN shared": {of(`{attachment: {kind: bridge}, reach: {trunk: eth1, vlan: 120}, subnets: [{cidr: 10.121.0.0/24}]}`), "", nil},
		"subnet goes": {of(`{attachment: {kind: ptp}, subnets: [{cidr: 10.7.0.0/24}]}`), of(`{attachment: {kind: ptp}, subnets: [{cidr: 192.168.90.0/24}]}`),
			[]string{"subnet 192.168.90.0/24 is removed while 2 addresses are in use"}},
		"all goes": {"", of(`{attachment: {kind: ptp}, subnets: [{cidr: 192.168.90.0/24}]}`), []string{"is removed while 2 addresses are in use"}},
	} {
		t.Run(name, func(t *testing.T) {
			says(t, ask(t, world(t), review(t, "networks", "Network", "", c.next, c.old)), c.want...)
		})
	}
	got := ask(t, world(t), review(t, "networks", "Network", "", of(`{attachment: {kind: ptp}, subnets: [{cidr: 10.7.0.0/24, gateway: 10.8.0.1}]}`), ""))
	if got.Allowed || !strings.Contains(got.Result.Message, `Network blue: spec.subnets[0].gateway "10.8.0.1"`) {
		t.Errorf("got %+v", got)
	}
}

func TestDefinitions(t *testing.T) {
	of := func(config string) string {
		return "metadata: {namespace: team, name: net}\nspec: {config: '" + config + "'}"
	}
	for name, c := range map[string]struct {
		config string
		want   []string
	}{
		"fine":              {`{"type":"macvlan","master":"eth1"}`, nil},
		"not ours":          {`{"type":"calico","vlan":"x","ipam":{"type":"nonsense"}}`, nil},
		"a list of none":    {`{"plugins":[{"type":"calico"},{"type":"tuning","x":1}]}`, nil},
		"broken JSON":       {`{"type":"macvlan",}`, []string{"line 1, column 19"}},
		"empty":             {``, []string{"no spec.config"}},
		"field":             {`{"type":"macvlan","master":7}`, []string{"master"}},
		"unknown key":       {`{"type":"macvlan","master":"eth1","moed":"x"}`, []string{`"moed"|ignored`}},
		"range":             {`{"type":"macvlan","master":"eth1","ipam":{"type":"whereabouts","range":"10.96.0.0/20"}}`, []string{"ipam range 10.96.0.0/20|Services"}},
		"gateway":           {`{"type":"macvlan","master":"eth1","ipam":{"type":"whereabouts","range":"10.7.0.0/24","gateway":"10.8.0.1"}}`, []string{"ipam.gateway|10.8.0.1"}},
		"VLAN of a Network": {`{"type":"vlan","master":"eth1","vlanId":120}`, []string{"VLAN 120 of eth1 is that of Network prod|let Pods select prod"}},
		"VLAN of nobody":    {`{"type":"vlan","master":"eth1","vlanId":121}`, nil},
		"pool":              {`{"type":"macvlan","master":"eth1","ipam":{"type":"tsunagu","pools":["blue-b"]}}`, []string{"IPPool blue-b, which does not exist|near names: blue-a"}},
	} {
		t.Run(name, func(t *testing.T) {
			says(t, ask(t, world(t), review(t, "network-attachment-definitions", "NetworkAttachmentDefinition", "team", of(c.config), "")), c.want...)
		})
	}
}

func TestClaims(t *testing.T) {
	of := func(spec string) string { return "metadata: {namespace: team, name: c, uid: c1}\nspec: " + spec }
	for name, c := range map[string]struct {
		spec string
		want []string
	}{
		"fine":          {`{network: blue, addresses: [192.168.90.11]}`, nil},
		"unknown":       {`{network: bleu}`, []string{"IPClaim team/c|near names there: blue"}},
		"not permitted": {`{network: other/green}`, []string{"published per namespace"}},
		"out of range":  {`{network: team/blue, addresses: [192.168.90.99]}`, []string{"outside the pool's ranges"}},
		"taken":         {`{network: blue, addresses: [192.168.90.12]}`, []string{"in use by"}},
		"another's":     {`{network: blue, addresses: [192.168.90.14]}`, []string{"kept for IPClaim elsewhere/vm"}},
		"retention":     {`{network: blue, retention: soon}`, []string{"spec.retention"}},
	} {
		t.Run(name, func(t *testing.T) {
			says(t, ask(t, world(t), review(t, "ipclaims", "IPClaim", "team", of(c.spec), "")), c.want...)
		})
	}
}
