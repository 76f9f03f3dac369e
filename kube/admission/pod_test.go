package admission

import (
	"fmt"
	"strings"
	"testing"
)

func podAsking(name, networks string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: %q, annotations: {k8s.v1.cni.cncf.io/networks: %q}}\nspec: {}", name, networks)
}

func ips(address string) string { return fmt.Sprintf(`[{"name":"blue","ips":[%q]}]`, address) }

func TestPods(t *testing.T) {
	for name, c := range map[string]struct {
		networks string
		want     []string
	}{
		"fine":             {"blue", nil},
		"fine address":     {ips("192.168.90.11"), nil},
		"unknown":          {"bleu", []string{"bleu|near names there: blue|To fix: write \"blue\""}},
		"two unknown":      {"bleu,blue,nothing", []string{"net1", "net3"}},
		"bad JSON":         {`[{"name":}]`, []string{"line 1, column 10|To fix"}},
		"out of range":     {ips("192.168.90.200"), []string{"outside the pool's ranges|192.168.90.10-192.168.90.50|ask for one of"}},
		"outside":          {ips("10.0.0.1"), []string{"outside the subnet"}},
		"excluded":         {ips("192.168.90.20"), []string{"is excluded by"}},
		"gateway":          {ips("192.168.90.1"), []string{"is the gateway"}},
		"network address":  {ips("192.168.90.0"), []string{"network address"}},
		"broadcast":        {ips("192.168.90.255"), []string{"broadcast"}},
		"wrong family":     {ips("fd00::1"), []string{"outside the subnet"}},
		"wrong length":     {ips("192.168.90.11/16"), []string{"asked for|/24"}},
		"taken by name":    {ips("192.168.90.12"), []string{"in use by interface net1 of Pod team/db-0 on node node1|delete that Pod"}},
		"taken in a block": {ips("192.168.90.33"), []string{"in use by a Pod on node node1"}},
		"free in a block":  {ips("192.168.90.34"), nil},
		"reserved":         {ips("192.168.90.13"), []string{"is reserved: the printer"}},
		"of a claim":       {ips("192.168.90.14"), []string{"kept for IPClaim elsewhere/vm"}},
		"stranger":         {ips("192.168.90.15"), []string{"in quarantine until 2026-01-01T00:10:00Z|02:00:00:00:00:09"}},
		"unknown claim":    {`[{"name":"blue","ipam-claim-reference":"vm-aa"}]`, []string{"no IPClaim team/vm-aa|near names: vm-a"}},
		"claim in use":     {`[{"name":"blue","ipam-claim-reference":"vm-a"}]`, []string{"of IPClaim team/vm-a is in use by interface net1 of Pod team/vm-a-1"}},
		"another's claim":  {`[{"name":"blue","ipam-claim-reference":"vm-b"}]`, []string{"IPClaim team/vm-b is for"}},
		"broken network":   {"broken", []string{"ipam.exclude[0]|10.1.0.300"}},
		"not permitted":    {"other/green", []string{"published per namespace|permit namespace team"}},
		"interface taken":  {"blue@eth0", []string{"taken by the pod network"}},
		"control chars":    {"a\\u0000\n\tb", []string{"To fix"}},
	} {
		t.Run(name, func(t *testing.T) {
			says(t, ask(t, world(t), review(t, "pods", "Pod", "team", podAsking("web", c.networks), "")), c.want...)
		})
	}
}

// A Pod that takes the place of the one that has the address is not warned.
func TestPodsOfTheSameName(t *testing.T) {
	says(t, ask(t, world(t), review(t, "pods", "Pod", "team", podAsking("db-0", ips("192.168.90.12")), "")))
	says(t, ask(t, world(t), review(t, "pods", "Pod", "team", podAsking("vm-a-1", `[{"name":"blue","ipam-claim-reference":"vm-a"}]`), "")))
	says(t, ask(t, world(t), review(t, "pods", "Pod", "team", podAsking("vm-b", `[{"name":"blue","interface":"data","ipam-claim-reference":"vm-b"}]`), "")))
	says(t, ask(t, world(t), review(t, "pods", "Pod", "other", podAsking("db-0", strings.Replace(ips("192.168.90.12"), "blue", "blue\",\"namespace\":\"team", 1)), "")), "in use by")
}

func TestPodsOnTheHost(t *testing.T) {
	pod := "metadata: {name: a, annotations: {k8s.v1.cni.cncf.io/networks: blue}}\nspec: {hostNetwork: true}"
	says(t, ask(t, world(t), review(t, "pods", "Pod", "team", pod, "")), "hostNetwork|no effect")
}

func TestNamespaceIsolation(t *testing.T) {
	d := world(t)
	d.Namespaces.Isolation = true
	says(t, ask(t, d, review(t, "pods", "Pod", "other", podAsking("web", "team/blue"), "")), "namespace isolation")
	d.Namespaces.Global = []string{"team"}
	says(t, ask(t, d, review(t, "pods", "Pod", "other", podAsking("web", "team/blue"), "")))
}

// With -admission=deny what can never be is refused; what time may heal is not.
func TestDeny(t *testing.T) {
	d := world(t)
	d.Deny = true
	got := ask(t, d, review(t, "pods", "Pod", "team", podAsking("web", "bleu"), ""))
	if got.Allowed || !strings.Contains(got.Result.Message, "near names there: blue") {
		t.Errorf("got %+v", got)
	}
	says(t, ask(t, d, review(t, "pods", "Pod", "team", podAsking("web", ips("192.168.90.12")), "")), "in use by")
	says(t, ask(t, d, review(t, "deployments", "Deployment", "team", deployment(`{}`, "bleu"), "")), "bleu")
}

func deployment(spec, networks string) string {
	return fmt.Sprintf("metadata: {name: db}\nspec:\n  <<: %s\n  template: {metadata: {annotations: {k8s.v1.cni.cncf.io/networks: %q}}}", spec, networks)
}

func TestWorkloads(t *testing.T) {
	d := world(t)
	for name, c := range map[string]struct {
		resource, kind, spec, networks string
		want                           []string
	}{
		"fine":                        {"deployments", "Deployment", `{replicas: 3}`, "blue", nil},
		"unknown":                     {"statefulsets", "StatefulSet", `{}`, "bleu", []string{"near names there: blue"}},
		"own address":                 {"deployments", "Deployment", `{strategy: {type: Recreate}}`, ips("192.168.90.12"), nil},
		"another's address":           {"replicasets", "ReplicaSet", `{}`, ips("192.168.90.33"), []string{"in use by a Pod on node node1"}},
		"an update would wait":        {"deployments", "Deployment", `{replicas: 1}`, ips("192.168.90.11"), []string{"wait for ever|Recreate"}},
		"no Pod beyond the replicas":  {"deployments", "Deployment", `{strategy: {rollingUpdate: {maxSurge: 0}}}`, ips("192.168.90.11"), nil},
		"no Pod beyond, in per cent":  {"deployments", "Deployment", `{strategy: {rollingUpdate: {maxSurge: 0%}}}`, ips("192.168.90.11"), nil},
		"several Pods of one address": {"statefulsets", "StatefulSet", `{replicas: 2}`, ips("192.168.90.11"), []string{"several Pods at a time|192.168.90.11"}},
		"one on every node":           {"daemonsets", "DaemonSet", `{}`, ips("192.168.90.11"), []string{"each Pod of DaemonSet db"}},
		"Pods of a Job":               {"jobs", "Job", `{parallelism: 4}`, ips("192.168.90.11"), []string{"several Pods at a time"}},
		"no networks":                 {"deployments", "Deployment", `{}`, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			says(t, ask(t, d, review(t, c.resource, c.kind, "team", deployment(c.spec, c.networks), "")), c.want...)
		})
	}
	cron := `{metadata: {name: c}, spec: {jobTemplate: {spec: {template: {metadata: {annotations: {k8s.v1.cni.cncf.io/networks: bleu}}, spec: {hostNetwork: true}}}}}}`
	says(t, ask(t, d, review(t, "cronjobs", "CronJob", "team", cron, "")), "bleu", "hostNetwork")
}
