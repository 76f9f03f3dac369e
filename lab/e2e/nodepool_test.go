package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/lab/drive"
)

// withNodePools gives the controller the flag and the rights that the chart would.
func withNodePools(t *testing.T, namespace string) {
	t.Helper()
	must(t, lab.Apply(within(t, 30*time.Second), `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: e2e-node-pools}
rules:
- {apiGroups: [cluster.x-k8s.io], resources: [machinedeployments], verbs: [list]}
- {apiGroups: [cluster.x-k8s.io], resources: [machinedeployments/scale], verbs: [patch]}
- {apiGroups: [cluster.x-k8s.io], resources: [machines], verbs: [list, patch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: e2e-node-pools}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: e2e-node-pools}
subjects: [{kind: ServiceAccount, name: tsunagu-controller, namespace: tsunagu-system}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: tsunagu-controller-pools, namespace: `+namespace+`}
rules:
- {apiGroups: [cluster.x-k8s.io], resources: [machinedeployments], verbs: [create, patch, delete]}
- {apiGroups: [infrastructure.cluster.x-k8s.io], resources: [vspheremachinetemplates], verbs: [get, create, delete]}
- {apiGroups: [bootstrap.cluster.x-k8s.io], resources: [kubeadmconfigtemplates], verbs: [get, create, delete]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: tsunagu-controller-pools, namespace: `+namespace+`}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: tsunagu-controller-pools}
subjects: [{kind: ServiceAccount, name: tsunagu-controller, namespace: tsunagu-system}]
`))
	controllerWith(t, "--node-pools")
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := lab.Kubectl(ctx, "delete", "clusterrole,clusterrolebinding", "e2e-node-pools"); err != nil {
			t.Error(err)
		}
	})
}

// controllerWith has the controller run with a flag until the test ends.
func controllerWith(t *testing.T, flag string) {
	t.Helper()
	args := func(ctx context.Context, args string) error {
		_, err := lab.Kubectl(ctx, "patch", "deployment", "tsunagu-controller", "-n", "tsunagu-system", "--type=strategic", "-p",
			`{"spec":{"template":{"spec":{"containers":[{"name":"controller","args":`+args+`}]}}}}`)
		if err == nil {
			_, err = lab.Kubectl(ctx, "rollout", "status", "-n", "tsunagu-system", "deployment/tsunagu-controller", "--timeout=100s")
		}
		return err
	}
	must(t, args(within(t, 2*time.Minute), `["`+flag+`"]`))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		if err := args(ctx, "null"); err != nil {
			t.Error(err)
		}
	})
}

// base is a MachineDeployment of which pools are made, with its templates.
func base(name, scaler string) string {
	return fmt.Sprintf(`
apiVersion: cluster.x-k8s.io/v1beta2
kind: MachineDeployment
metadata:
  name: %[1]s
  annotations: {tsunagu.dev/pool-sets: "e2e-blue,e2e-red; e2e-red", tsunagu.dev/pool-max: "3", tsunagu.dev/pool-idle: 10s, tsunagu.dev/pool-scaler: %[2]s}
spec:
  clusterName: prod
  replicas: 0
  selector: {matchLabels: {cluster.x-k8s.io/deployment-name: %[1]s}}
  template:
    metadata: {labels: {cluster.x-k8s.io/deployment-name: %[1]s, node-role.kubernetes.io/edge: ""}}
    spec:
      clusterName: prod
      bootstrap: {configRef: {apiGroup: bootstrap.cluster.x-k8s.io, kind: KubeadmConfigTemplate, name: %[1]s}}
      infrastructureRef: {apiGroup: infrastructure.cluster.x-k8s.io, kind: VSphereMachineTemplate, name: %[1]s}
---
apiVersion: infrastructure.cluster.x-k8s.io/v1beta1
kind: VSphereMachineTemplate
metadata: {name: %[1]s}
spec: {template: {spec: {numCPUs: 4, memoryMiB: 8192, diskGiB: 40, network: {devices: [{networkName: nodes, dhcp4: true}]}}}}
---
apiVersion: bootstrap.cluster.x-k8s.io/v1beta2
kind: KubeadmConfigTemplate
metadata: {name: %[1]s}
spec: {template: {spec: {joinConfiguration: {nodeRegistration: {kubeletExtraArgs: [{name: v, value: "2"}]}}}}}
`, name, scaler)
}

// pools gives the pools of a base by their networks, and their replicas.
func (c *clusterAPI) pools(ctx context.Context, base string) (map[string]object, error) {
	all, err := c.list(ctx, deploymentsPath)
	out := map[string]object{}
	for _, d := range all {
		if d.Metadata.Labels["tsunagu.dev/pool-base"] == base {
			out[d.Metadata.Annotations["tsunagu.dev/pool-made-for"]] = d
		}
	}
	return out, err
}

// Without an autoscaler: a Pod that only a pool without nodes can serve has exactly that pool grow by one, runs there when the networks were verified and
// no sooner, and the node goes when it is gone. With one: the pools that are made are such that the autoscaler brings a node for the Pod.
func TestNodePoolsFromZero(t *testing.T) {
	ns := room(t, "e2e-machines")
	definitions(t)
	withNodePools(t, ns)
	for _, n := range []string{"e2e-blue", "e2e-red"} {
		network(t, n, ns, macvlan("nowhere9", map[string]string{"e2e-blue": "192.168.96.0/24", "e2e-red": "192.168.97.0/24"}[n]))
	}
	served(t, ns)
	api, err := lab.Dial(within(t, 20*time.Second))
	must(t, err)
	t.Cleanup(api.Close)
	c := &clusterAPI{API: api, namespace: ns}
	apply := func(manifest string) {
		t.Helper()
		_, err := lab.Told(within(t, 20*time.Second), manifest, "apply", "-n", ns, "-f", "-")
		must(t, err)
	}

	t.Run("tsunagu scales", func(t *testing.T) { scaledByUs(t, c, apply) })
	t.Run("the autoscaler scales", func(t *testing.T) { scaledByTheAutoscaler(t, c, apply) })
}

func scaledByUs(t *testing.T, c *clusterAPI, apply func(string)) {
	ctx, stop := context.WithCancel(t.Context())
	var played sync.WaitGroup
	played.Go(func() { c.run(ctx, t) })
	t.Cleanup(func() {
		_, _ = lab.Kubectl(context.Background(), "delete", "nodes", "-l", "node-role.kubernetes.io/edge") // if it failed half way
	})
	defer func() { stop(); played.Wait() }()
	apply(base("direct", "tsunagu"))
	both, red := "e2e-blue,e2e-red", "e2e-red"
	replicas := func(ctx context.Context, blues, reds float64) error {
		pools, err := c.pools(ctx, "direct")
		if err == nil && (len(pools) != 2 || pools[both].Spec["replicas"] != blues || pools[red].Spec["replicas"] != reds) {
			err = fmt.Errorf("%d pools; %s has %v replicas, %s %v; want %v, %v", len(pools), both, pools[both].Spec["replicas"], red, pools[red].Spec["replicas"], blues, reds)
		}
		return err
	}
	must(t, drive.Until(within(t, 30*time.Second), time.Second, func(ctx context.Context) error { return replicas(ctx, 0, 0) }))
	apply(pod(c.namespace, "web", "", "e2e-blue"))
	begin := time.Now()
	must(t, drive.Until(within(t, time.Minute), 200*time.Millisecond, func(ctx context.Context) error { return replicas(ctx, 1, 0) }))
	t.Logf("exactly the pool that serves the Pod has 1 replica after %.1f s", time.Since(begin).Seconds())
	var node string
	must(t, drive.Until(within(t, 20*time.Second), 200*time.Millisecond, func(ctx context.Context) error {
		out, err := lab.Kubectl(ctx, "get", "nodes", "-l", "node-role.kubernetes.io/edge", "-o", "jsonpath={.items[*].metadata.name} {.items[*].spec.taints[*].key}")
		node, _, _ = strings.Cut(out, " ")
		if err == nil && !strings.Contains(out, "startup-taint.cluster-autoscaler.kubernetes.io/tsunagu-network") {
			err = fmt.Errorf("a node without the startup taint: %q", out)
		}
		return err
	}))
	must(t, c.finds(within(t, 10*time.Second), node, "e2e-red"))
	onNodes(t, "e2e-red", 20*time.Second, node)
	time.Sleep(12 * time.Second) // two rounds of the controller: one of two networks is not enough
	out, err := lab.Kubectl(within(t, 10*time.Second), "get", "node", node, "-o", "jsonpath={.spec.taints[*].key}")
	must(t, err)
	if !strings.Contains(out, "tsunagu-network") {
		t.Errorf("the startup taint went before all networks were verified: %q", out)
	}
	must(t, c.finds(within(t, 10*time.Second), node, "e2e-blue", "e2e-red"))
	must(t, drive.Until(within(t, time.Minute), 300*time.Millisecond, func(ctx context.Context) error {
		out, err := lab.Kubectl(ctx, "get", "pod", "web", "-n", c.namespace, "-o", "jsonpath={.spec.nodeName}")
		if err == nil && out != node {
			err = fmt.Errorf("the Pod is on %q, want %s", out, node)
		}
		return err
	}))
	must(t, replicas(within(t, 10*time.Second), 1, 0))
	_, err = lab.Kubectl(within(t, 20*time.Second), "delete", "pod", "web", "-n", c.namespace, "--force", "--grace-period=0")
	must(t, err)
	must(t, drive.Until(within(t, 2*time.Minute), time.Second, func(ctx context.Context) error {
		if err := replicas(ctx, 0, 0); err != nil {
			return err
		}
		out, err := lab.Kubectl(ctx, "get", "nodes", "-l", "node-role.kubernetes.io/edge", "-o", "name")
		if err == nil && out != "" {
			err = errors.New(out + " is there yet")
		}
		return err
	}))
	_, err = lab.Kubectl(within(t, 30*time.Second), "delete", "machinedeployment", "direct", "-n", c.namespace)
	must(t, err)
	must(t, drive.Until(within(t, 30*time.Second), time.Second, func(ctx context.Context) error {
		out, err := lab.Kubectl(ctx, "get", "machinedeployments,kubeadmconfigtemplates", "-n", c.namespace, "-l", "tsunagu.dev/pool", "-o", "name")
		if err == nil && out != "" {
			err = errors.New("pools that nobody asks for are there yet: " + out)
		}
		return err
	}))
}

func scaledByTheAutoscaler(t *testing.T, c *clusterAPI, apply func(string)) {
	apply(base("auto", "autoscaler"))
	must(t, drive.Until(within(t, 30*time.Second), time.Second, func(ctx context.Context) error {
		pools, err := c.pools(ctx, "auto")
		if err == nil && len(pools) != 2 {
			err = fmt.Errorf("%d pools", len(pools))
		}
		return err
	}))
	apply(pod(c.namespace, "wants-blue", "", "e2e-blue"))
	pools, err := c.pools(within(t, 10*time.Second), "auto")
	must(t, err)
	want := "MachineDeployment " + c.namespace + "/" + pools["e2e-blue,e2e-red"].Metadata.Name
	for _, version := range []string{"1.30.0", "1.36.1"} {
		cmd := exec.CommandContext(within(t, 30*time.Second), filepath.Join(lab.Root, "bin", "tsunagu"), "--kubeconfig", lab.Kubeconfig(), "doctor", "scale-up",
			"--pod", c.namespace+"/wants-blue", "--autoscaler-version", version, "-o", "json")
		out, err := cmd.CombinedOutput()
		var verdict struct {
			Scales     []string
			Considered int
		}
		if err == nil {
			err = json.Unmarshal(out, &verdict)
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if strings.Join(verdict.Scales, " ") != want || verdict.Considered != 2 {
			t.Errorf("Cluster Autoscaler %s would scale %v of %d, want %s\n%s", version, verdict.Scales, verdict.Considered, want, out)
		}
	}
	time.Sleep(12 * time.Second) // two rounds: what the autoscaler scales is never scaled by us
	pools, err = c.pools(within(t, 10*time.Second), "auto")
	must(t, err)
	for set, p := range pools {
		if p.Spec["replicas"] != 0. {
			t.Errorf("%s has %v replicas", set, p.Spec["replicas"])
		}
	}
}
