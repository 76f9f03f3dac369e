package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/lab/drive"
)

// flannelPlugin is the version that has the plugin in the repository of the reference plugins, as the operator of the report had it.
const flannelPlugin = "github.com/containernetworking/plugins/plugins/meta/flannel@v0.9.1"

// The definitions, files and Deployments of field report 1, as its operator wrote them but for the name of the uplink.
const (
	reportFlannel = `apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: flannel, namespace: NAMESPACE}
spec:
  config: |
    {"name": "cbr0", "cniVersion": "0.3.1",
     "plugins": [
       {"type": "flannel", "delegate": {"hairpinMode": true, "isDefaultGateway": true}},
       {"type": "portmap", "snat": true, "capabilities": {"portMappings": true}}]}
`
	reportEmpty = `apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: macvlan, namespace: NAMESPACE}
`
	reportFile = `{"cniVersion": "0.3.1", "name": "macvlan", "type": "macvlan", "master": "up1", "mode": "bridge",
 "ipam": {"type": "host-local", "ranges": [[{"subnet": "172.16.1.0/24", "rangeStart": "172.16.1.%d", "rangeEnd": "172.16.1.%d"}]]}}
`
	reportWhole = reportEmpty + `spec:
  config: |
    {"cniVersion": "0.3.1", "name": "macvlan",
     "plugins": [
       {"type": "macvlan", "capabilities": {"ips": true}, "master": "up1", "mode": "bridge",
        "ipam": {"type": "host-local",
                 "ranges": [[{"subnet": "172.16.1.0/24", "rangeStart": "172.16.1.200", "rangeEnd": "172.16.1.246", "gateway": "172.16.1.254"}]],
                 "routes": [{"dst": "0.0.0.0/0"}]}},
       {"type": "tuning", "capabilities": {"mac": true}}]}
`
)

// deployment is one with a networks annotation, spread over the nodes.
func deployment(namespace, name string, replicas int, networks string) string {
	return fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: %[2]s, namespace: %[1]s}
spec:
  replicas: %[3]d
  selector: {matchLabels: {app: %[2]s}}
  template:
    metadata:
      labels: {app: %[2]s}
      annotations:
        k8s.v1.cni.cncf.io/networks: '%[4]s'
    spec:
      terminationGracePeriodSeconds: 0
      topologySpreadConstraints:
      - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: %[2]s}}, matchLabelKeys: [pod-template-hash]}
      nodeSelector: {e2e-report: "yes"}
      containers: [{name: c, image: %[5]s, args: [netexec, --http-port=8080]}]
`, namespace, name, replicas, networks, agnhost)
}

// The three experiments of the report on two nodes. The third is the one that gave 172.16.1.200 to two Pods.
func TestFieldReport(t *testing.T) {
	ns := room(t, "e2e-report")
	onTwo := []string{"node1", "node2"}
	flannel(t, onTwo)
	for i, node := range onTwo {
		disk(t, node, fmt.Sprintf(reportFile, 100+50*i, 149+50*i))
	}
	say := func(manifest string) {
		t.Helper()
		must(t, lab.Apply(within(t, 20*time.Second), strings.ReplaceAll(manifest, "NAMESPACE", ns)))
	}
	ready := func(name string, replicas int) []drive.Pod {
		t.Helper()
		pods, err := lab.Ready(within(t, 2*time.Minute), ns, "app="+name, replicas)
		must(t, err)
		return pods
	}
	say(reportFlannel)
	say(reportEmpty)

	say(deployment(ns, "first", 3, "flannel, flannel, macvlan"))
	first := ready("first", 3)
	for i, all := range apart(t, ns, first, "flannel", "macvlan") {
		for _, ip := range all {
			if n := last(t, ip); n < 100+50*i || n > 149+50*i {
				t.Errorf("%s gave %s, which its file does not have", onTwo[i], ip)
			}
		}
	}
	reach(t, ns, first, "net1", "flannel")
	reach(t, ns, first, "net3", "macvlan")

	say(reportWhole)
	say(deployment(ns, "second", 1, `[{"name": "macvlan"}, {"name": "macvlan", "ips": ["172.16.1.201/24"], "mac": "c2:b0:57:49:47:f1"}]`))
	second := ready("second", 1)
	fixed := second[0].Interfaces[2]
	if fixed.IPs[0].String() != "172.16.1.201" || fixed.MAC != "c2:b0:57:49:47:f1" || fixed.Name != "net2" {
		t.Errorf("the address and the MAC that were asked for: %+v", fixed)
	}
	out, err := lab.PodExec(within(t, 20*time.Second), ns, second[0].Name, "ip", "-o", "link", "show", "net2")
	must(t, err)
	if !strings.Contains(out, "c2:b0:57:49:47:f1") {
		t.Errorf("net2 is %s", out)
	}
	must(t, lab.Apply(within(t, 20*time.Second), pod(ns, "nobody", "node1", `[{"name": "macvlan", "ips": ["172.16.1.99/24"]}]`)))
	t.Log(warning(t, ns, "nobody", 10*time.Second, "172.16.1.99", "172.16.1.200-172.16.1.246"))

	_, err = lab.Kubectl(within(t, time.Minute), "delete", "pods", "-n", ns, "-l", "app=first")
	must(t, err)
	must(t, drive.Until(within(t, time.Minute), 500*time.Millisecond, func(ctx context.Context) error { // the old ones are gone
		pods, err := lab.Ready(ctx, ns, "app=first", 3)
		for _, p := range pods {
			for _, old := range first {
				if p.Name == old.Name {
					return fmt.Errorf("pod %s is still there", p.Name)
				}
			}
		}
		return err
	}))
	third := append(ready("first", 3), second...)
	for _, all := range apart(t, ns, third, "flannel", "macvlan") {
		for _, ip := range all {
			if n := last(t, ip); n < 200 || n > 246 {
				t.Errorf("%s is not of the definition's range, though its config wins over the files", ip)
			}
		}
	}
	reach(t, ns, third[:3], "net3", "macvlan")
}

// last is the last byte of an address of the report's network.
func last(t *testing.T, ip string) (n int) {
	t.Helper()
	if _, err := fmt.Sscanf(ip, "172.16.1.%d", &n); err != nil {
		t.Errorf("address %s: %v", ip, err)
	}
	return n
}

// apart demands that the Pods are on two nodes and that no two of their addresses on some networks are the same. It gives those of the
// last network by node.
func apart(t *testing.T, ns string, pods []drive.Pod, networks ...string) (byNode [2][]string) {
	t.Helper()
	whose, on := map[string]string{}, map[string]bool{}
	for _, p := range pods {
		on[p.Node] = true
		for _, i := range p.Interfaces {
			for _, network := range networks {
				if i.Network != ns+"/"+network {
					continue
				}
				if len(i.IPs) == 0 {
					t.Errorf("%s has no address on %s: %+v", p.Name, network, i)
				}
				for _, ip := range i.IPs {
					if other := whose[ip.String()]; other != "" {
						t.Errorf("%s has %s, and so has %s", p.Name, ip, other)
					}
					whose[ip.String()] = p.Name + " on " + p.Node
					if network == networks[len(networks)-1] {
						n := 0
						if p.Node == "node2" {
							n = 1
						}
						byNode[n] = append(byNode[n], ip.String())
					}
				}
			}
		}
	}
	if len(on) != 2 {
		t.Fatalf("the Pods are on %v, want two nodes", on)
	}
	t.Log(whose)
	return byNode
}

// reach pings from the first Pod to all others on a network.
func reach(t *testing.T, ns string, pods []drive.Pod, device, network string) {
	t.Helper()
	for _, p := range pods[1:] {
		ping(t, pods[0], device, address(t, p, ns+"/"+network, false))
	}
}

// disk puts a node's own configuration into the folder that Multus reads.
func disk(t *testing.T, node, text string) {
	t.Helper()
	tell(t, node, "mkdir -p /etc/cni/multus/net.d && cat > /etc/cni/multus/net.d/macvlan.conf <<'EOF'\n"+text+"EOF")
	t.Cleanup(func() { tellLater(t, node, "rm -rf /etc/cni/multus") })
}

// flannel makes nodes what flanneld of the backend vxlan makes of them, and gives them its plugin and those that it delegates to.
func flannel(t *testing.T, on []string) {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.CommandContext(within(t, 5*time.Minute), "go", "install", flannelPlugin)
	cmd.Dir = dir // not of this module
	cmd.Env = append(os.Environ(), "GOBIN="+dir, "CGO_ENABLED=0", "GOFLAGS=-mod=mod")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v: %s", flannelPlugin, err, out)
	}
	must(t, os.Chmod(dir, 0o755))
	for i, node := range on {
		other := on[1-i]
		mine, theirs := internalIPs(t, node)[0], internalIPs(t, other)[0]
		mac := func(i int) string { return fmt.Sprintf("02:00:0a:14:%02x:00", i+1) }
		tell(t, node, fmt.Sprintf(`set -e
cp /usr/lib/cni/bridge /usr/lib/cni/host-local /usr/lib/cni/portmap %[1]s/flannel /opt/cni/bin/
mkdir -p /run/flannel
printf 'FLANNEL_NETWORK=10.20.0.0/16\nFLANNEL_SUBNET=10.20.%[2]d.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n' > /run/flannel/subnet.env
dev=$(ip -o route get %[5]s | sed 's/.* dev \([^ ]*\).*/\1/')
ip link add flannel.1 address %[6]s type vxlan id 1 local %[4]s dev $dev dstport 8472 nolearning
ip addr add 10.20.%[2]d.0/32 dev flannel.1
ip link set flannel.1 up
ip route add 10.20.%[3]d.0/24 via 10.20.%[3]d.0 dev flannel.1 onlink
ip neigh add 10.20.%[3]d.0 lladdr %[7]s dev flannel.1
bridge fdb add %[7]s dev flannel.1 dst %[5]s
sysctl -qw net.ipv4.ip_forward=1`, filepath.Clean(dir), i+1, 2-i, mine, theirs, mac(i), mac(1-i)))
		t.Cleanup(func() {
			tellLater(t, node, "ip link del flannel.1; ip link del cni0; rm -rf /run/flannel /var/lib/cni/flannel /var/lib/cni/networks/cbr0; cd /opt/cni/bin && rm -f bridge host-local portmap flannel")
			_, _ = lab.Kubectl(context.Background(), "label", "node", node, "e2e-report-")
		})
		_, err := lab.Kubectl(within(t, 20*time.Second), "label", "node", node, "e2e-report=yes", "--overwrite")
		must(t, err)
	}
}

func tell(t *testing.T, node, script string) {
	t.Helper()
	if out, err := lab.Exec(within(t, 30*time.Second), node, "sh", "-c", script); err != nil {
		t.Fatalf("on %s: %v: %s", node, err, out)
	}
}

// tellLater is tell for cleaning up.
func tellLater(t *testing.T, node, script string) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if out, err := lab.Exec(ctx, node, "sh", "-c", script); err != nil {
		t.Errorf("on %s: %v: %s", node, err, out)
	}
}
