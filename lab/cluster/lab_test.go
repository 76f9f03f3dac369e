package cluster

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/lab/plan"
	"github.com/tsunagu-net/tsunagu/lab/wiring"
)

// Lab tier: one real cluster, and what its users rely on. The first run on a
// machine builds Kubernetes, which takes minutes.
func TestLab(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIP: needs root to make namespaces and mounts")
	}
	if testing.Short() {
		t.Skip("SKIP: -short, and this boots a cluster")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute)
	defer cancel()
	name, err := Scratch("tlab")
	if err != nil {
		t.Fatal(err)
	}
	files := t.TempDir()
	o := Options{Name: name, Nodes: 2, CNI: CNIBridge, Dir: files, Source: filepath.Join(root, "lab"), Progress: NewProgress(os.Stderr)}
	if err := Down(files, name); err != nil {
		t.Fatal(err)
	}
	c, err := Up(ctx, o)
	t.Cleanup(func() {
		if err := Down(files, name); err != nil {
			t.Error(err)
		}
		leftovers(t, name)
		if _, err := os.Stat(filepath.Join(files, ".lab", name)); err == nil {
			t.Error("files are left")
		}
		if err := Down(files, name); err != nil {
			t.Errorf("removing what is not there: %v", err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}

	must := func(out []byte, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	kubectl := func(args ...string) string { t.Helper(); return must(c.Kubectl(ctx, "", args...)) }
	eventually := func(what string, f func() error) {
		t.Helper()
		if err := await(ctx, 60*time.Second, f); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	pods := func() {
		t.Helper()
		must(c.Kubectl(ctx, testPods, "apply", "-f", "-"))
		kubectl("wait", "--for=condition=Ready", "pod", "--all", "--timeout=90s")
	}
	pods()

	t.Run("pods", func(t *testing.T) {
		if out := kubectl("exec", "shell", "--", "wget", "-qO-", "-T5", "http://web/hostname"); out != "web" {
			t.Errorf("through the cluster's DNS and a Service: %q", out)
		}
		asked := kubectl("exec", "shell", "--", "wget", "-qO-", "-T5", "http://"+OutsideName+":8080/clientip")
		node, _ := c.Address("node1")
		ip, _ := netip.ParseAddrPort(asked)
		if ip.Addr() != node && ip.Addr() != c.Nodes()[0].IPs()[1] {
			t.Errorf("outside sees %q, want an address of node1", asked)
		}
		if out := kubectl("logs", "web"); !strings.Contains(out, "HTTP server") {
			t.Errorf("logs of web: %q", out)
		}
	})
	t.Run("a node is a machine of its own", func(t *testing.T) {
		// The Pod's namespaces, as containerd mounts them, reach a volume.
		if n := kubectl("exec", "eye", "--", "sh", "-c", "grep -c ' /netns/cni-.* nsfs ' /proc/mounts"); n == "0" {
			t.Error("a hostPath volume with HostToContainer shows no network namespace")
		}
		links := kubectl("exec", "eye", "--", "sh", "-c", "cd /sys/class/net && echo eth0 up1 up2")
		if links != "eth0 up1 up2" {
			t.Errorf("links of the node: %s", links)
		}
		if out := must(c.Exec(ctx, "node2", "hostname")); out != "node2" {
			t.Errorf("node2 calls itself %s", out)
		}
		if _, err := c.Exec(ctx, "node2", "false"); err == nil {
			t.Error("false is true on node2")
		}
	})
	t.Run("a second up changes nothing", func(t *testing.T) {
		before := kubectl("get", "nodes", "-o", "jsonpath={.items[*].metadata.uid}")
		again, err := Up(ctx, o)
		if err != nil {
			t.Fatal(err)
		}
		if again.Kubeconfig() != c.Kubeconfig() || before != kubectl("get", "nodes", "-o", "jsonpath={.items[*].metadata.uid}") {
			t.Error("the lab is another one")
		}
		other := o
		other.Nodes = 5
		if _, err := Up(ctx, other); err == nil {
			t.Error("up with other options said nothing")
		}
	})
	t.Run("components come and go", func(t *testing.T) {
		if err := c.Component(ctx, "node1", "kube-apiserver", "halt"); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Kubectl(ctx, "", "get", "--raw", "/readyz", "--request-timeout=2s"); err == nil {
			t.Error("the API server answers although it is stopped")
		}
		if err := c.Component(ctx, "node1", "kube-apiserver", "start"); err != nil {
			t.Fatal(err)
		}
		eventually("the API server is back", func() error { _, err := c.Kubectl(ctx, "", "get", "--raw", "/readyz"); return err })
		for _, name := range []string{"kubelet", "containerd", "kube-proxy"} {
			if err := c.Component(ctx, "node2", name, "kill"); err != nil {
				t.Error(err)
			}
		}
		if err := c.AwaitReady(ctx, time.Minute); err != nil {
			t.Error(err)
		}
	})
	t.Run("a node reboots", func(t *testing.T) {
		boot := func() string {
			return kubectl("get", "node", "node2", "-o", "jsonpath={.status.nodeInfo.bootID}")
		}
		before := boot()
		if err := c.StopNode("node2"); err != nil {
			t.Fatal(err)
		}
		if wiring.Exists(c.Namespace("node2")) {
			t.Error("node2 is off and has a network namespace")
		}
		if err := c.StartNode(ctx, "node2"); err != nil {
			t.Fatal(err)
		}
		eventually("the kubelet reports the reboot", func() error {
			if boot() == before {
				return os.ErrDeadlineExceeded
			}
			return nil
		})
		eventually("web is reached again", func() error {
			_, err := c.Kubectl(ctx, "", "exec", "shell", "--", "wget", "-qO-", "-T2", "http://web/hostname")
			return err
		})
	})
	t.Run("a plug is pulled", func(t *testing.T) {
		ping := func() error {
			_, err := c.Exec(ctx, plan.Outside, "ping", "-c1", "-W1", c.Nodes()[1].IPs()[0].String())
			return err
		}
		if err := ping(); err != nil {
			t.Error(err)
		}
		if err := c.Plug("node2", "eth0", false); err != nil {
			t.Fatal(err)
		}
		if ping() == nil {
			t.Error("node2 answers without its plug")
		}
		if err := c.Plug("node2", "eth0", true); err != nil {
			t.Fatal(err)
		}
		eventually("node2 answers again", ping)
	})
	t.Run("nodes join and leave", func(t *testing.T) {
		uid := func() string { return kubectl("get", "node", "node3", "-o", "jsonpath={.metadata.uid}") }
		if _, err := c.AddNode(ctx, "", nil); err != nil {
			t.Fatal(err)
		}
		before := uid()
		if err := c.RemoveNode(ctx, "node3"); err != nil {
			t.Fatal(err)
		}
		moved := c.Nodes()[0].IPs()[0]
		for range 50 {
			moved = moved.Next()
		}
		n, err := c.AddNode(ctx, "node3", []netip.Addr{moved})
		if err != nil {
			t.Fatal(err)
		}
		if uid() == before || n.IPs()[0] != moved {
			t.Errorf("node3 came back with UID %s (was %s) and %v", uid(), before, n.IPs())
		}
		if err := c.RemoveNode(ctx, "node1"); err == nil {
			t.Error("the control plane was removed")
		}
	})
	t.Run("status says it all", func(t *testing.T) {
		s, err := c.Status(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Machines) != 4 {
			t.Errorf("%d machines, want three nodes and outside", len(s.Machines))
		}
		for _, m := range s.Machines {
			if m.State != "running" || m.Role != "outside" && (m.Ready == nil || m.UID == "") {
				t.Errorf("%s: %+v", m.Name, m)
			}
		}
		if err := c.PauseNode("node2", true); err != nil {
			t.Fatal(err)
		}
		if s, _ = c.Status(ctx); s.Machines[1].State != "paused" {
			t.Errorf("a paused node is %s", s.Machines[1].State)
		}
		if err := c.PauseNode("node2", false); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("the machine itself reboots", func(t *testing.T) {
		// All that a reboot takes: processes, namespaces, /run.
		if err := c.host.Group(topGroup, name).Kill(); err != nil {
			t.Fatal(err)
		}
		if err := c.host.Group(topGroup, name).Remove(); err != nil {
			t.Fatal(err)
		}
		for _, m := range []string{"node1", "node2", "node3", plan.Outside, switchName} {
			if err := wiring.DeleteNamespace(c.Namespace(m)); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.RemoveAll(c.runDir()); err != nil {
			t.Fatal(err)
		}
		if c, err = Up(ctx, o); err != nil {
			t.Fatal(err)
		}
		eventually("Pods run again", func() error {
			_, err := c.Kubectl(ctx, "", "exec", "shell", "--", "wget", "-qO-", "-T2", "http://web/hostname")
			return err
		})
	})
}

// Half a lab goes as completely as a whole one.
func TestDownAfterACrash(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIP: needs root to make namespaces and mounts")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	const name = "tlhalf"
	files := t.TempDir()
	o, err := Options{Name: name, Nodes: 2, Dir: files, Source: filepath.Join(root, "lab")}.complete()
	if err != nil {
		t.Fatal(err)
	}
	c, err := assemble(filepath.Join(files, ".lab", name), state{Options: o, Port: 1, Programs: "/none"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.wires().Create([]string{"eth0", "up1", "up2"}); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		n, err := c.state.newNode(c.plan, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		n.ControlPlane = i == 0
		c.state.Nodes = append(c.state.Nodes, n)
		// No state file was written, no program is there: it restarts for ever.
		if err := c.powerOn(n.Name, n.Index, n.Addresses); err != nil {
			t.Fatal(err)
		}
	}
	if err := Down(files, name); err != nil {
		t.Fatal(err)
	}
	leftovers(t, name)
}

func leftovers(t *testing.T, name string) {
	t.Helper()
	if Exists(name) {
		t.Error("a cgroup or run directory is left")
	}
	for _, e := range list("/run/netns") {
		if strings.HasPrefix(e, name+"-") {
			t.Errorf("network namespace %s is left", e)
		}
	}
	mounts, _ := os.ReadFile("/proc/self/mounts")
	if strings.Contains(string(mounts), name) {
		t.Error("a mount is left")
	}
	for _, p := range list("/proc") {
		cmdline, _ := os.ReadFile(filepath.Join("/proc", p, "cmdline"))
		if strings.Contains(string(cmdline), "tsunagu-lab-machine\x00"+name+"-") {
			t.Errorf("process %s is left", p)
		}
	}
}

const testPods = `apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  nodeName: node2
  hostname: web
  containers:
  - name: web
    image: registry.k8s.io/e2e-test-images/agnhost:2.66.1
    args: [netexec, --http-port=8080]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  ipFamilyPolicy: PreferDualStack
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
---
apiVersion: v1
kind: Pod
metadata: {name: shell}
spec:
  nodeName: node1
  terminationGracePeriodSeconds: 0
  containers:
  - {name: shell, image: "busybox:1.36", command: [sleep, "100000"]}
---
apiVersion: v1
kind: Pod
metadata: {name: eye}
spec:
  nodeName: node1
  hostNetwork: true
  terminationGracePeriodSeconds: 0
  containers:
  - name: eye
    image: busybox:1.36
    command: [sleep, "100000"]
    securityContext: {privileged: true}
    volumeMounts: [{name: netns, mountPath: /netns, mountPropagation: HostToContainer}]
  volumes: [{name: netns, hostPath: {path: /run/netns}}]
`
