package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/lab/drive"
)

// Two Pods on two nodes reach each other and the machine outside on a macvlan
// network, over both families, and leave by it when they ask to.
func TestMacvlanAcrossNodes(t *testing.T) {
	ns := room(t, "e2e-macvlan")
	network(t, "e2e-mv", ns, macvlan("up1", "192.168.101.0/24\n  gateway: 192.168.101.254\n- cidr: fd00:101::/64\n  gateway: fd00:101::fe"))
	a := create(t, ns, "a", "node1", "e2e-mv")
	b := create(t, ns, "b", "node2", `[{"name":"e2e-mv","interface":"blue0","mac":"02:23:45:67:89:0a"}]`)
	for _, v6 := range []bool{false, true} {
		ping(t, a, "net1", address(t, b, ns+"/e2e-mv", v6))
		ping(t, b, "blue0", address(t, a, ns+"/e2e-mv", v6))
		ping(t, a, "", address(t, b, "", v6))
	}
	ping(t, a, "net1", "192.168.101.254")
	ping(t, b, "blue0", "fd00:101::fe")
	on, _ := b.On(ns + "/e2e-mv")
	if on.Name != "blue0" || on.MAC != "02:23:45:67:89:0a" {
		t.Errorf("interface and mac were asked for, got %+v", on)
	}

	out := create(t, ns, "out", "node3", `[{"name":"e2e-mv","default-route":["192.168.101.254"]}]`)
	said, err := lab.PodExec(within(t, 20*time.Second), ns, "out", "wget", "-q", "-O", "-", "-T", "5", "http://203.0.113.10:8080/clientip")
	must(t, err)
	if want := address(t, out, ns+"/e2e-mv", false); !strings.HasPrefix(said, want+":") {
		t.Errorf("the host outside saw %s, want %s: the default route is not on the network that was asked", said, want)
	}
	// The cluster stays reachable for such a Pod.
	ping(t, out, "eth0", address(t, a, "", false))
}

// A hand-written NetworkAttachmentDefinition, used twice by one Pod.
func TestOneNetworkTwice(t *testing.T) {
	ns := room(t, "e2e-twice")
	must(t, lab.Apply(within(t, 20*time.Second), `apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: hand, namespace: `+ns+`}
spec:
  config: |
    {"cniVersion": "0.3.1", "type": "macvlan", "master": "up2", "mode": "bridge",
     "ipam": {"type": "whereabouts", "range": "10.55.0.0/28", "exclude": ["10.55.0.1/32"]}}
`))
	p := create(t, ns, "two", "node1", "hand@one,"+ns+"/hand@two")
	seen := map[netip.Addr]bool{}
	for _, i := range p.Interfaces {
		if i.Network == ns+"/hand" {
			seen[i.IPs[0]] = true
		}
	}
	if len(seen) != 2 || seen[netip.MustParseAddr("10.55.0.1")] {
		t.Fatalf("want two addresses of 10.55.0.0/28 without .1, got %+v", p.Interfaces)
	}
	other := create(t, ns, "other", "node2", "hand")
	for ip := range seen {
		ping(t, other, "net1", ip.String())
	}
}

// Every refusal is an Event on the Pod with the cause, at once.
func TestRefusalsAreSaid(t *testing.T) {
	ns := room(t, "e2e-refused")
	network(t, "e2e-small", ns, macvlan("up1", "192.168.77.0/30"))
	network(t, "e2e-nolink", ns, macvlan("up9", "192.168.78.0/24"))
	create(t, ns, "holder", "node1", `[{"name":"e2e-small","ips":["192.168.77.1"]}]`)
	must(t, lab.Apply(within(t, 20*time.Second), `apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: broken, namespace: `+ns+`}
spec: {config: '{"type": "macvlan", "master" "up1"}'}
---
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: foreign, namespace: `+ns+`}
spec: {config: '{"cniVersion":"1.0.0","name":"foreign","type":"frobnicate"}'}
`))
	for _, c := range []struct {
		name, networks string
		words          []string
	}{
		{"outside", `[{"name":"e2e-small","ips":["192.168.99.9"]}]`, []string{"192.168.99.9", "192.168.77.0/30"}},
		{"taken", `[{"name":"e2e-small","ips":["192.168.77.1"]}]`, []string{"192.168.77.1", ns + "/holder"}},
		{"unknown", "e2e-smal", []string{"e2e-smal", "e2e-small"}},
		{"nolink", "e2e-nolink", []string{"up9", "up1"}},
		{"broken", "broken", []string{"broken", "line 1"}},
		{"foreign", "foreign", []string{"frobnicate"}},
		{"syntax", `[{"name":"e2e-small",]`, []string{"networks"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			must(t, lab.Apply(within(t, 20*time.Second), pod(ns, c.name, "node2", c.networks)))
			// The Event is due within 1 s of the refusal; scheduling and the
			// sandbox come before it.
			t.Log(warning(t, ns, c.name, 8*time.Second, c.words...))
		})
	}
}

// When a pool is full the Event counts, and an address that becomes free is
// given to the Pod that waits.
func TestPoolFullAndRecovers(t *testing.T) {
	ns := room(t, "e2e-full")
	network(t, "e2e-tiny", ns, macvlan("up1", "192.168.79.0/30"))
	create(t, ns, "one", "node1", "e2e-tiny")
	create(t, ns, "two", "node2", "e2e-tiny")
	must(t, lab.Apply(within(t, 20*time.Second), pod(ns, "three", "node3", "e2e-tiny")))
	t.Log(warning(t, ns, "three", 8*time.Second, "2"))
	_, err := lab.Kubectl(within(t, time.Minute), "delete", "pod", "-n", ns, "one")
	must(t, err)
	_, err = lab.Ready(within(t, time.Minute), ns, "name=three", 1)
	must(t, err)
}

// hostPort, kubelet probes and host-network Pods work as with any other CNI.
func TestHostPortAndProbes(t *testing.T) {
	ns := room(t, "e2e-host")
	must(t, lab.Apply(within(t, 20*time.Second), `apiVersion: v1
kind: Pod
metadata: {name: web, namespace: `+ns+`, labels: {name: web}}
spec:
  nodeName: node2
  terminationGracePeriodSeconds: 0
  containers:
  - name: c
    image: `+agnhost+`
    args: [netexec, --http-port=8080]
    ports: [{containerPort: 8080, hostPort: 18080}]
    readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
    livenessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Pod
metadata: {name: node, namespace: `+ns+`, labels: {name: node}}
spec:
  nodeName: node1
  hostNetwork: true
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: `+agnhost+`, args: [pause]}]
`))
	pods, err := lab.Ready(within(t, time.Minute), ns, "name=web", 1)
	must(t, err)
	for _, a := range internalIPs(t, "node2") {
		url := "http://" + netip.AddrPortFrom(a, 18080).String() + "/hostname"
		for _, from := range []string{"node1", "node2", "outside"} {
			said, err := lab.Exec(within(t, 20*time.Second), from, "curl", "-gsS", "-m", "5", url)
			must(t, err)
			if strings.TrimSpace(said) != "web" {
				t.Errorf("%s from %s says %q, want web", url, from, said)
			}
		}
	}
	// A host-network Pod reaches a Pod on another node.
	must(t, drive.Until(within(t, 30*time.Second), time.Second, func(ctx context.Context) error {
		said, err := lab.PodExec(ctx, ns, "node", "wget", "-q", "-O", "-", "-T", "5", "http://"+address(t, pods[0], "", false)+":8080/hostname")
		if err == nil && strings.TrimSpace(said) != "web" {
			err = fmt.Errorf("said %q", said)
		}
		return err
	}))
}
