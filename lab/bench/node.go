package bench

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tsunagu-net/tsunagu/lab/wiring"
)

// nodeName is the Node object's name.
const nodeName = "bench"

// uplinks are the node's interfaces: the first has its addresses, the others are bare.
var uplinks = []string{"eth0", "up1", "up2"}

var nodeAddresses = []netip.Prefix{netip.MustParsePrefix("172.30.0.1/24"), netip.MustParsePrefix("fd00:30::1/64")}

var uplinkSwitch = wiring.Switch{Namespace: "tstbench-switch"}

// wire plugs the node into three segments with nobody else on them.
func wire() error {
	if err := uplinkSwitch.Create(uplinks); err != nil {
		return err
	}
	for i, segment := range uplinks {
		p := wiring.Port{Machine: "n", Namespace: NodeNamespace, Segment: segment, Bare: i > 0}
		if i == 0 {
			p.Addresses = nodeAddresses
		}
		if err := uplinkSwitch.Plug(p); err != nil {
			return err
		}
	}
	return nil
}

const nodeObject = `{"apiVersion":"v1","kind":"Node","metadata":{"name":"bench","labels":{"kubernetes.io/hostname":"bench"}},
"spec":{"podCIDR":"10.244.0.0/22","podCIDRs":["10.244.0.0/22","fd00:10:244::/64"]}}`

const nodeStatus = `{"status":{"addresses":[
{"type":"InternalIP","address":"172.30.0.1"},{"type":"InternalIP","address":"fd00:30::1"},{"type":"Hostname","address":"bench"}]}}`

// daemonSet is what the agent looks for to know that it is still wanted. Nobody here acts upon it.
const daemonSet = `{"apiVersion":"apps/v1","kind":"DaemonSet","metadata":{"name":"tsunagu-agent","namespace":"tsunagu-system"},"spec":{
"selector":{"matchLabels":{"app":"agent"}},"template":{"metadata":{"labels":{"app":"agent"}},"spec":{"containers":[{"name":"agent","image":"none"}]}}}}`

// networks are the two macvlan networks: a pool of addresses for the whole cluster and a definition each.
var networks = []struct{ name, master, cidr string }{
	{"bench-a", "up1", "10.60.0.0/16"},
	{"bench-b", "up2", "10.61.0.0/16"},
}

// describe makes the objects that the agent reads, apart from Pods.
func (a *api) describe(ctx context.Context, crds string) error {
	if err := a.define(ctx, crds); err != nil {
		return err
	}
	for _, o := range []struct{ path, text string }{
		{"/api/v1/namespaces/default", `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"default"}}`},
		{"/api/v1/namespaces/tsunagu-system", `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"tsunagu-system"}}`},
		{"/apis/apps/v1/namespaces/tsunagu-system/daemonsets/tsunagu-agent", daemonSet},
		{"/api/v1/nodes/bench", nodeObject},
	} {
		if err := a.apply(ctx, o.path, o.text); err != nil {
			return err
		}
	}
	// Server-side apply takes one address of a type only.
	if err := a.call(ctx, "PATCH", "/api/v1/nodes/bench/status", "application/merge-patch+json", []byte(nodeStatus), nil); err != nil {
		return err
	}
	for _, n := range networks {
		pool := fmt.Sprintf(`{"apiVersion":"tsunagu.dev/v1alpha1","kind":"IPPool","metadata":{"name":%q},"spec":{"domain":%q,"cidr":%q}}`, n.name, n.name, n.cidr)
		if err := a.apply(ctx, "/apis/tsunagu.dev/v1alpha1/ippools/"+n.name, pool); err != nil {
			return err
		}
		config := fmt.Sprintf(`{"cniVersion":"1.0.0","name":%q,"type":"macvlan","master":%q,"mode":"bridge","ipam":{"type":"tsunagu","pools":[%q]}}`, n.name, n.master, n.name)
		definition := fmt.Sprintf(`{"apiVersion":"k8s.cni.cncf.io/v1","kind":"NetworkAttachmentDefinition","metadata":{"name":%q,"namespace":"default"},"spec":{"config":%q}}`, n.name, config)
		if err := a.apply(ctx, "/apis/k8s.cni.cncf.io/v1/namespaces/default/network-attachment-definitions/"+n.name, definition); err != nil {
			return err
		}
	}
	return nil
}

// define applies the definitions of the product's objects, files named <group>_<plural>.yaml, and waits until they are served.
func (a *api) define(ctx context.Context, dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*_*.yaml"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("there are no object definitions in %s", dir)
	}
	var paths []string
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		group, plural, _ := strings.Cut(strings.TrimSuffix(filepath.Base(f), ".yaml"), "_")
		path := "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/" + plural + "." + group
		if err := a.apply(ctx, path, string(text)); err != nil {
			return err
		}
		paths = append(paths, path)
	}
	for _, p := range paths {
		if err := a.server.wait(20*time.Second, func() error { return a.established(ctx, p) }); err != nil {
			return err
		}
	}
	return nil
}

func (a *api) established(ctx context.Context, path string) error {
	var crd struct {
		Status struct {
			Conditions []struct{ Type, Status, Message string }
		}
	}
	if err := a.get(ctx, path, &crd); err != nil {
		return err
	}
	for _, c := range crd.Status.Conditions {
		if c.Type == "Established" && c.Status == "True" {
			return nil
		}
	}
	return fmt.Errorf("%s is not served yet: %v", path, crd.Status.Conditions)
}

// pods makes Pods that are bound to the node and want both networks.
func (a *api) pods(ctx context.Context, count int) ([]Pod, error) {
	pods := make([]Pod, count)
	for i := range pods {
		var err error
		if pods[i], err = a.pod(ctx, fmt.Sprintf("pod-%03d", i), nodeName, "bench-a, bench-b"); err != nil {
			return nil, err
		}
	}
	return pods, nil
}

func (a *api) pod(ctx context.Context, name, node, networks string) (Pod, error) {
	text := fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":%q,"namespace":"default","annotations":{"k8s.v1.cni.cncf.io/networks":%q}},
"spec":{"nodeName":%q,"containers":[{"name":"main","image":"none"}]}}`, name, networks, node)
	var made struct{ Metadata struct{ UID string } }
	err := a.call(ctx, "POST", "/api/v1/namespaces/default/pods", "application/json", []byte(text), &made)
	return Pod{Namespace: "default", Name: name, UID: made.Metadata.UID}, err
}
