package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/lab/drive"
)

// vlan is a Network on a VLAN of the trunk up2.
func vlan(id int) string {
	return fmt.Sprintf("reach: {trunk: up2, vlan: %d}\nattachment: {kind: bridge}\nsubnets:\n- cidr: 10.%d.0.0/16\n  gateway: 10.%d.255.254\n- cidr: fd00:%d::/64\n  gateway: fd00:%d::fe", id, id, id, id, id)
}

// VLAN 120 and 121 over one trunk, Open vSwitch as the physical switch: Pods
// reach each other and the machine outside of their VLAN, on one node and over
// two, also while agents start anew, and nothing of the other VLAN.
func TestVLANsOfOneTrunk(t *testing.T) {
	ns := room(t, "e2e-vlan")
	wire := newVSwitch(t, "up2")
	for _, id := range []int{120, 121} {
		wire.access(id, fmt.Sprintf("10.%d.255.254/16", id), fmt.Sprintf("fd00:%d::fe/64", id))
		network(t, fmt.Sprintf("e2e-vlan%d", id), ns, vlan(id))
	}
	a, b, c := create(t, ns, "a", "node1", "e2e-vlan120"), create(t, ns, "b", "node1", "e2e-vlan120"), create(t, ns, "c", "node2", "e2e-vlan120")
	x := create(t, ns, "x", "node1", "e2e-vlan121")
	all := func() {
		t.Helper()
		for _, v6 := range []bool{false, true} {
			ping(t, a, "net1", address(t, b, ns+"/e2e-vlan120", v6))
			ping(t, c, "net1", address(t, a, ns+"/e2e-vlan120", v6))
		}
		ping(t, a, "net1", "10.120.255.254")
		ping(t, c, "net1", "fd00:120::fe")
		ping(t, x, "net1", "10.121.255.254")
		ping(t, x, "net1", "fd00:121::fe")
	}
	all()
	for _, other := range []string{"10.121.255.254", "fd00:121::fe"} {
		if out, err := lab.PodExec(within(t, 20*time.Second), ns, "a", "ping", "-c", "1", "-W", "1", "-I", "net1", other); err == nil {
			t.Errorf("VLAN 120 reaches %s of VLAN 121:\n%s", other, out)
		}
	}

	// Two hundred pings a hundredth of a second apart, and the agent is killed
	// in the middle: none is lost.
	stream := make(chan string, 1)
	go func() {
		out, _ := lab.PodExec(within(t, time.Minute), ns, "a", "ping", "-c", "200", "-i", "0.01", "-I", "net1", "10.120.255.254")
		stream <- out
	}()
	for _, node := range []string{"node1", "node2"} {
		if n, err := lab.Kill(node, "tsunagu-agent"); err != nil || n == 0 {
			t.Fatalf("no agent was killed on %s: %v", node, err)
		}
	}
	if out := <-stream; !strings.Contains(out, " 0% packet loss") {
		t.Errorf("while agents started anew:\n%s", tail(out, 4))
	}
	all()
	d := create(t, ns, "d", "node1", "e2e-vlan120")
	ping(t, d, "net1", address(t, c, ns+"/e2e-vlan120", false))
	spoofs(t, ns, a, d)
	refusedVLANs(t, ns)
	wire.prunes(t, 120, 121)
}

// prunes takes a VLAN off the switch's port, as a colleague could: the nodes lose the Network, with the words that lead there, and have it
// again when the VLAN is back; the other VLAN is not touched.
func (o *vswitch) prunes(t *testing.T, gone, kept int) {
	t.Helper()
	state := func(id int, phase, says string) {
		t.Helper()
		began := time.Now()
		must(t, drive.Until(within(t, 90*time.Second), 200*time.Millisecond, func(ctx context.Context) error {
			name := fmt.Sprintf("e2e-vlan%d", id)
			said, err := lab.Kubectl(ctx, "get", "nodenetworks", "node1", "-o", fmt.Sprintf("jsonpath={range .status.networks[?(@.name==%q)]}{.phase} {.reason} {.message}{end}", name))
			if err != nil {
				return err
			}
			labelled, err := lab.Kubectl(ctx, "get", "nodes", "-l", "tsunagu.node-restriction.kubernetes.io/"+name+"=ready", "-o", "name")
			if err == nil && (!strings.HasPrefix(said, phase) || !strings.Contains(said, says) || strings.Contains(labelled, "node1") != (phase == "Ready")) {
				err = fmt.Errorf("VLAN %d: %q, labelled %q; want %s %q", id, said, labelled, phase, says)
			}
			return err
		}))
		t.Logf("VLAN %d is %s after %s", id, phase, time.Since(began).Round(100*time.Millisecond))
	}
	state(gone, "Ready", "GatewayAnswered")
	o.vsctl("set", "port", "tsttrunk", fmt.Sprintf("trunks=%d", kept))
	state(gone, "Degraded", fmt.Sprintf("VLANSilent gateway 10.%d.255.254 does not answer in VLAN %d of up2", gone, gone))
	state(kept, "Ready", "GatewayAnswered")
	o.vsctl("clear", "port", "tsttrunk", "trunks")
	state(gone, "Ready", "GatewayAnswered")
}

// spoofs lets a Pod take another MAC, as a container with NET_ADMIN could: it
// is cut off, and the metric says why.
func spoofs(t *testing.T, ns string, evil, victim drive.Pod) {
	t.Helper()
	inside := netnsOf(t, address(t, evil, ns+"/e2e-vlan120", false))
	for _, command := range []string{"ip link set net1 address 02:09:09:09:09:09", "ping -c 2 -i 0.2 -W 1 -I net1 " + address(t, victim, ns+"/e2e-vlan120", false)} {
		out, err := exec.Command("nsenter", append([]string{"--net=" + inside}, strings.Fields(command)...)...).CombinedOutput()
		if strings.HasPrefix(command, "ping") == (err == nil) {
			t.Errorf("%s: %v: %s", command, err, out)
		}
	}
	metrics, err := lab.Exec(within(t, 20*time.Second), "node1", "curl", "-s", "http://127.0.0.1:9871/metrics")
	must(t, err)
	counted := regexp.MustCompile(`(?m)^tsunagu_vlan_dropped_frames_total\{port="tsu[0-9a-f]+",reason="foreign-mac",trunk="up2",vlan="120"\} ([0-9]+)`).FindStringSubmatch(metrics)
	if counted == nil || counted[1] == "0" {
		t.Errorf("no frame of a foreign MAC was counted: %v", counted)
	}
}

// netnsOf finds the network namespace that has an address.
func netnsOf(t *testing.T, address string) string {
	t.Helper()
	all, _ := filepath.Glob("/proc/[0-9]*/ns/net")
	seen := map[string]bool{}
	for _, path := range all {
		id, _ := os.Readlink(path)
		if seen[id] {
			continue
		}
		seen[id] = true
		out, err := exec.Command("nsenter", "--net="+path, "ip", "-o", "addr", "show", "dev", "net1").Output()
		if err == nil && strings.Contains(string(out), " "+address+"/") {
			return path
		}
	}
	t.Fatalf("no namespace of a Pod has %s", address)
	return ""
}

// refusedVLANs are the mistakes with VLANs, and their words.
func refusedVLANs(t *testing.T, ns string) {
	t.Helper()
	network(t, "e2e-notrunk", ns, strings.Replace(vlan(130), "trunk: up2", "trunk: up22", 1))
	must(t, lab.Apply(within(t, 20*time.Second), pod(ns, "notrunk", "node2", "e2e-notrunk")))
	t.Log(warning(t, ns, "notrunk", 8*time.Second, `"up22"`, "interfaces here: up2"))
	said, err := lab.Told(within(t, 20*time.Second), "apiVersion: tsunagu.dev/v1alpha1\nkind: Network\nmetadata: {name: e2e-vlan4095}\nspec:\n"+indent(vlan(4095)), "apply", "-f", "-")
	if err == nil || !strings.Contains(said+err.Error(), "less than or equal to 4094") {
		t.Errorf("VLAN 4095: %s, %v", said, err)
	}
	twin := "apiVersion: tsunagu.dev/v1alpha1\nkind: Network\nmetadata: {name: e2e-twin}\nspec:\n" + indent(vlan(120))
	must(t, lab.Apply(within(t, 20*time.Second), twin))
	t.Cleanup(func() { lab.Kubectl(context.Background(), "delete", "networks.tsunagu.dev", "e2e-twin") })
	must(t, drive.Until(within(t, 20*time.Second), 200*time.Millisecond, func(ctx context.Context) error {
		out, err := lab.Kubectl(ctx, "get", "networks.tsunagu.dev", "e2e-twin", "-o", "jsonpath={.status.conditions[0].reason}: {.status.conditions[0].message}")
		if err == nil && !strings.HasPrefix(out, "VLANTaken: VLAN 120 of trunk up2 is that of Network e2e-vlan120") {
			err = fmt.Errorf("status %q", out)
		}
		return err
	}))
}
