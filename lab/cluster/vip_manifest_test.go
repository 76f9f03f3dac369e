package cluster

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// vipManifest runs the product's own command.
func vipManifest(ctx context.Context, t *testing.T, root string, args ...string) []byte {
	t.Helper()
	out, err := exec.CommandContext(ctx, filepath.Join(root, "bin", "tsunagu"), append([]string{"vip", "manifest"}, args...)...).Output()
	if err != nil {
		t.Fatalf("tsunagu vip manifest %s: %v", strings.Join(args, " "), err)
	}
	return out
}

// manifestsAreTaken gives the manifests to a real API server, which fills them in,
// validates them and refuses unknown fields, and keeps nothing.
func (c *Cluster) manifestsAreTaken(ctx context.Context, t *testing.T, client *api) {
	for kind, path := range map[string]string{"kubeadm": "/api/v1/namespaces/kube-system/pods", "k3s": "/api/v1/namespaces/kube-system/pods", "rke2": "/api/v1/namespaces/kube-system/pods",
		"worker": "/api/v1/namespaces/kube-system/pods", "daemonset": "/apis/apps/v1/namespaces/kube-system/daemonsets"} {
		text := vipManifest(ctx, t, filepath.Dir(c.state.Options.Source), "--for="+kind, "--address="+c.state.Options.VIP, "--first=10.0.0.11")
		if err := await(ctx, time.Minute, func() error { // the namespace's own service account comes late
			_, err := client.call(ctx, http.MethodPost, path+"?dryRun=All&fieldValidation=Strict", "application/yaml", text)
			return err
		}); err != nil {
			t.Errorf("--for %s: %v", kind, err)
		}
	}
}

// lacksResources tells whether no process of this machine may have CAP_SYS_RESOURCE,
// as in some sandboxes: runc cannot give it to a container then.
func lacksResources(t *testing.T) bool {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "CapBnd:")
	bound, err := strconv.ParseUint(strings.TrimSpace(strings.SplitN(after, "\n", 2)[0]), 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	const sysResource = 24 // linux/capability.h
	return bound>>sysResource&1 == 0
}

// A kubelet that reaches no API server runs the manifest of the first node as it is
// printed, and the address is there.
func TestStaticPodWithoutAPIServer(t *testing.T) {
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
	archive := filepath.Join(root, "dist", "tsunagu-image.tar")
	if _, err := os.Stat(archive); err != nil {
		t.Fatalf("tsunagu-vip's image: make image: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	name, err := Scratch("tlvps")
	if err != nil {
		t.Fatal(err)
	}
	files := t.TempDir()
	t.Cleanup(func() {
		if err := Down(files, name); err != nil {
			t.Error(err)
		}
		leftovers(t, name)
	})
	c, err := Up(ctx, Options{Name: name, Nodes: 2, Proxy: ProxyNone, Dir: files, Source: filepath.Join(root, "lab"), Images: []string{archive}, Progress: NewProgress(os.Stderr)})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []string{"kubelet", "kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd"} {
		if err := c.Component(ctx, "node1", x, "stop"); err != nil {
			t.Fatal(err)
		}
	}
	address := c.plan.VIP()[0].String()
	// What kubeadm has written before it starts the kubelet; the manifest tells the first node by it.
	etcd := "apiVersion: v1\nkind: Pod\nmetadata: {name: etcd, namespace: kube-system}\nspec:\n  hostNetwork: true\n  containers:\n  - {name: etcd, image: registry.k8s.io/pause:3.10.2}\n"
	manifest := string(vipManifest(ctx, t, root, "--for=kubeadm", "--address="+address))
	if lacksResources(t) {
		t.Log("this machine is without the capability SYS_RESOURCE, of which only kernels before 5.11 make use: the manifest is tried without")
		manifest = strings.Replace(manifest, "- SYS_RESOURCE\n", "", 1)
	}
	for file, text := range map[string]string{"etcd.yaml": etcd, "tsunagu-vip.yaml": manifest} {
		if err := c.script(ctx, "node1", text, "sh", "-c", "mkdir -p /etc/kubernetes/manifests && cat >/etc/kubernetes/manifests/"+file); err != nil {
			t.Fatal(err)
		}
	}
	log, err := os.Create(filepath.Join(files, "kubelet.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	kubelet := exec.Command(c.state.program("kubelet"), "--config="+kubeletConfig, "--kubeconfig=/etc/kubernetes/kubelet.conf", "--hostname-override=node1",
		"--root-dir=/var/lib/kubelet", "--cert-dir=/var/lib/kubelet/pki", "--v=2")
	kubelet.Stdout, kubelet.Stderr = log, log
	began := time.Now()
	if err := c.Start("node1", kubelet); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = kubelet.Process.Kill()
		_ = kubelet.Wait()
	}()
	err = await(ctx, 2*time.Minute, func() error {
		_, err := c.Exec(ctx, "node2", "ping", "-c1", "-W1", address)
		return err
	})
	if err != nil {
		text, _ := os.ReadFile(log.Name())
		pods, _ := c.Exec(ctx, "node1", "ctr", "-n", "k8s.io", "containers", "ls")
		t.Fatalf("%v\n%s\n%s", err, pods, text[max(0, len(text)-6000):])
	}
	t.Logf("the address answers %s after the kubelet started", time.Since(began).Round(time.Second/10))
	if out, err := c.Exec(ctx, "node1", "curl", "-sf", "http://127.0.0.1:9872/readyz"); err != nil {
		t.Errorf("the static Pod says that it is not ready: %s %v", out, err)
	}
}
