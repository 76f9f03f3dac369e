package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/lab/drive"
)

// clusterAPI plays Cluster API: it makes Machines and Nodes of MachineDeployments, and takes them away, by the rules of the book's chapter "Metadata
// propagation". Of a node it makes the object only: nothing runs there. It plays the node's agent too, which finds all networks of the pool.
type clusterAPI struct {
	*drive.API
	namespace string
	count     int
}

const (
	deploymentsPath  = "/apis/cluster.x-k8s.io/v1beta2/namespaces/%s/machinedeployments"
	machinesPath     = "/apis/cluster.x-k8s.io/v1beta2/namespaces/%s/machines"
	bootstrapPath    = "/apis/bootstrap.cluster.x-k8s.io/v1beta2/namespaces/%s/kubeadmconfigtemplates"
	nodeNetworksPath = "/apis/tsunagu.dev/v1alpha1/nodenetworks"
	deploymentName   = "cluster.x-k8s.io/deployment-name"
)

// vsphereTemplates is a definition in place of the provider's, whose module nobody serves.
const vsphereTemplates = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: vspheremachinetemplates.infrastructure.cluster.x-k8s.io}
spec:
  group: infrastructure.cluster.x-k8s.io
  scope: Namespaced
  names: {kind: VSphereMachineTemplate, listKind: VSphereMachineTemplateList, plural: vspheremachinetemplates, singular: vspheremachinetemplate}
  versions:
  - {name: v1beta1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
`

// definitions applies Cluster API's own definitions, as its module has them.
func definitions(t *testing.T) {
	t.Helper()
	cmd := exec.Command("go", "mod", "download", "-json", "sigs.k8s.io/cluster-api")
	cmd.Dir = filepath.Join(lab.Root, "lab", "clusterapi")
	out, err := cmd.Output()
	var module struct{ Dir string }
	if err == nil {
		err = json.Unmarshal(out, &module)
	}
	must(t, err)
	for _, f := range []string{"core/config/crd/bases/cluster.x-k8s.io_machinedeployments.yaml", "core/config/crd/bases/cluster.x-k8s.io_machines.yaml",
		"bootstrap/kubeadm/config/crd/bases/bootstrap.cluster.x-k8s.io_kubeadmconfigtemplates.yaml"} {
		_, err := lab.Kubectl(within(t, 30*time.Second), "apply", "--server-side", "--force-conflicts", "-f", filepath.Join(module.Dir, f))
		must(t, err)
	}
	must(t, lab.Apply(within(t, 30*time.Second), vsphereTemplates))
	names := []string{"machinedeployments.cluster.x-k8s.io", "machines.cluster.x-k8s.io", "kubeadmconfigtemplates.bootstrap.cluster.x-k8s.io", "vspheremachinetemplates.infrastructure.cluster.x-k8s.io"}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := lab.Kubectl(ctx, append([]string{"delete", "crd", "--ignore-not-found"}, names...)...); err != nil {
			t.Error(err)
		}
	})
	_, err = lab.Kubectl(within(t, time.Minute), append([]string{"wait", "--for=condition=Established", "--timeout=50s", "crd"}, names...)...)
	must(t, err)
}

// object is one of the API, as far as it is looked at.
type object struct {
	APIVersion string `json:"apiVersion,omitempty"`
	Kind       string `json:"kind,omitempty"`
	Metadata   struct {
		Name              string            `json:"name"`
		Labels            map[string]string `json:"labels,omitempty"`
		Annotations       map[string]string `json:"annotations,omitempty"`
		DeletionTimestamp string            `json:"deletionTimestamp,omitempty"`
	} `json:"metadata"`
	Spec   map[string]any `json:"spec,omitempty"`
	Status map[string]any `json:"status,omitempty"`
}

func (o object) at(path ...string) any {
	var v any = o.Spec
	for _, p := range path {
		m, _ := v.(map[string]any)
		v = m[p]
	}
	return v
}

func (c *clusterAPI) list(ctx context.Context, path string) ([]object, error) {
	var l struct{ Items []object }
	err := c.Do(ctx, "GET", fmt.Sprintf(path, c.namespace), nil, &l)
	return l.Items, err
}

// run plays until the context ends.
func (c *clusterAPI) run(ctx context.Context, t *testing.T) {
	for ctx.Err() == nil {
		if err := c.round(ctx); err != nil && ctx.Err() == nil {
			t.Log("Cluster API's part:", err)
		}
		select {
		case <-time.After(300 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func (c *clusterAPI) round(ctx context.Context) error {
	deployments, err := c.list(ctx, deploymentsPath)
	if err != nil {
		return err
	}
	machines, err := c.list(ctx, machinesPath)
	if err != nil {
		return err
	}
	for _, d := range deployments {
		var own []object
		for _, m := range machines {
			if m.Metadata.Labels[deploymentName] == d.Metadata.Name {
				own = append(own, m)
			}
		}
		want, _ := d.Spec["replicas"].(float64)
		switch {
		case len(own) < int(want):
			err = errors.Join(err, c.bring(ctx, d))
		case len(own) > int(want):
			err = errors.Join(err, c.take(ctx, own))
		}
	}
	return err
}

// bring makes a Machine, and its Node with what a kubelet and Cluster API write.
func (c *clusterAPI) bring(ctx context.Context, d object) error {
	c.count++
	name := fmt.Sprintf("%s-%d", d.Metadata.Name, c.count)
	labels := map[string]string{}
	template, _ := d.at("template", "metadata", "labels").(map[string]any)
	for k, v := range template {
		labels[k] = fmt.Sprint(v)
	}
	var m object
	m.APIVersion, m.Kind, m.Metadata.Name, m.Metadata.Labels = "cluster.x-k8s.io/v1beta2", "Machine", name, labels
	m.Spec = map[string]any{"clusterName": "prod", "bootstrap": map[string]any{"dataSecretName": "none"}, "infrastructureRef": d.at("template", "spec", "infrastructureRef")}
	if err := c.Do(ctx, "POST", fmt.Sprintf(machinesPath, c.namespace), m, nil); err != nil {
		return err
	}
	var bootstrap object
	if ref, ok := d.at("template", "spec", "bootstrap", "configRef", "name").(string); ok {
		if err := c.Do(ctx, "GET", fmt.Sprintf(bootstrapPath, c.namespace)+"/"+ref, nil, &bootstrap); err != nil {
			return err
		}
	}
	var n object
	n.APIVersion, n.Kind, n.Metadata.Name, n.Metadata.Labels = "v1", "Node", name, map[string]string{"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
	maps.Copy(n.Metadata.Labels, synced(labels))
	n.Spec = map[string]any{"taints": bootstrap.at("template", "spec", "joinConfiguration", "nodeRegistration", "taints")}
	if err := c.Do(ctx, "POST", "/api/v1/nodes", n, nil); err != nil {
		return err
	}
	size := map[string]string{"cpu": "4", "memory": "8Gi", "pods": "110"}
	if err := c.Do(ctx, "PATCH", "/api/v1/nodes/"+name+"/status", map[string]any{"status": map[string]any{"capacity": size, "allocatable": size,
		"conditions": []any{map[string]any{"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": time.Now().UTC().Format(time.RFC3339)}}}}, nil); err != nil {
		return err
	}
	return c.Do(ctx, "PATCH", fmt.Sprintf(machinesPath, c.namespace)+"/"+name+"/status", map[string]any{"status": map[string]any{"nodeRef": map[string]any{"name": name}}}, nil)
}

// synced are the labels of a Machine that its Node gets.
func synced(labels map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range labels {
		domain, _, _ := strings.Cut(k, "/")
		for _, d := range []string{"node-restriction.kubernetes.io", "node.cluster.x-k8s.io"} {
			if domain == d || strings.HasSuffix(domain, "."+d) || domain == "node-role.kubernetes.io" {
				out[k] = v
			}
		}
	}
	return out
}

// take removes a Machine and its Node: first one that was chosen.
func (c *clusterAPI) take(ctx context.Context, own []object) error {
	gone := own[0]
	for _, m := range own {
		if _, chosen := m.Metadata.Annotations["cluster.x-k8s.io/delete-machine"]; chosen {
			gone = m
		}
	}
	if err := c.Do(ctx, "DELETE", nodeNetworksPath+"/"+gone.Metadata.Name, nil, nil); err != nil && !drive.Refused(err, 404) { // a real one is owned by its Node
		return err
	}
	return errors.Join(c.Do(ctx, "DELETE", "/api/v1/nodes/"+gone.Metadata.Name, nil, nil), c.Do(ctx, "DELETE", fmt.Sprintf(machinesPath, c.namespace)+"/"+gone.Metadata.Name, nil, nil))
}

// finds is what a node's agent says: these networks are there.
func (c *clusterAPI) finds(ctx context.Context, node string, networks ...string) error {
	err := c.Do(ctx, "POST", nodeNetworksPath, map[string]any{"apiVersion": "tsunagu.dev/v1alpha1", "kind": "NodeNetwork", "metadata": map[string]any{"name": node}}, nil)
	if err != nil && !drive.Refused(err, 409) {
		return err
	}
	var states []map[string]string
	for _, n := range networks {
		states = append(states, map[string]string{"name": n, "phase": "Ready"})
	}
	return c.Do(ctx, "PATCH", nodeNetworksPath+"/"+node+"/status", map[string]any{"status": map[string]any{"heartbeat": time.Now().UTC().Format(time.RFC3339), "networks": states}}, nil)
}
