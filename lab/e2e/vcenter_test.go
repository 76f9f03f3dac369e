package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/lab/drive"
)

// vcenter is a simulated vCenter (cmd/tsunagu-vcenter) outside the cluster, with a machine for each node, and the guests of these: a card that
// vSphere adds to a machine becomes an interface of its node, on a segment with a machine of its own.
type vcenter struct {
	*testing.T
	orders  io.Writer
	segment string // a namespace: the port group's wire, and a machine on it
	hello   struct {
		Server, Username, Password, Thumbprint string
		Machines                               map[string]string
	}
	nodeOf map[string]string

	mu    sync.Mutex
	cards map[string]map[string]time.Time // node → MAC of cards on the port group → since when the guest has it
	blind map[string]bool                 // nodes whose guests see no new cards
	most  int                             // cards of ours at one time
	made  int
}

const portGroup, vcenterGateway = "vlan120", "10.120.0.254"

func newVCenter(t *testing.T) *vcenter {
	t.Helper()
	v := &vcenter{T: t, segment: lab.Name + "-tstpg", nodeOf: map[string]string{}, cards: map[string]map[string]time.Time{}, blind: map[string]bool{}}
	binary := filepath.Join(t.TempDir(), "tsunagu-vcenter")
	v.run("go", "build", "-C", lab.Root, "-o", binary, "./cmd/tsunagu-vcenter")
	v.run("ip", "netns", "add", v.segment)
	t.Cleanup(func() { exec.Command("ip", "netns", "del", v.segment).Run() })
	v.run("ip", "-n", v.segment, "link", "add", "wire", "up", "type", "bridge")
	v.run("ip", "-n", v.segment, "addr", "add", vcenterGateway+"/24", "dev", "wire")
	var node struct {
		Status struct {
			Addresses []struct{ Type, Address string }
		}
	}
	must(t, lab.Get(within(t, 10*time.Second), &node, "node", "node1"))
	home := node.Status.Addresses[0].Address
	home = home[:strings.LastIndexByte(home, '.')] + ".1"
	cmd := exec.Command("ip", "netns", "exec", lab.Name+"-outside", binary, "-listen="+home+":0", fmt.Sprint("-machines=", len(nodes)))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	must(t, err)
	v.orders = in
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { in.Close(); cmd.Wait() })
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatal("tsunagu-vcenter ended")
	}
	must(t, json.Unmarshal(lines.Bytes(), &v.hello))
	names := slices.Sorted(func(yield func(string) bool) {
		for name := range v.hello.Machines {
			if !yield(name) {
				return
			}
		}
	})
	for i, name := range names {
		v.nodeOf[name], v.cards[nodes[i]] = nodes[i], map[string]time.Time{}
	}
	go v.guests(lines)
	return v
}

func (v *vcenter) run(name string, args ...string) {
	v.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		v.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
}

func (v *vcenter) order(line string) {
	v.Helper()
	if _, err := fmt.Fprintln(v.orders, line); err != nil {
		v.Fatal(err)
	}
}

// guests makes interfaces of cards, and removes them.
func (v *vcenter) guests(lines *bufio.Scanner) {
	for lines.Scan() {
		var change struct {
			Machine string
			Cards   []struct{ MAC, PortGroup, Owner string }
		}
		if err := json.Unmarshal(lines.Bytes(), &change); err != nil {
			v.Error(err)
			return
		}
		v.mu.Lock()
		node := v.nodeOf[change.Machine]
		there, gone, ours := map[string]bool{}, []string{}, 0
		for _, c := range change.Cards {
			if c.PortGroup != portGroup {
				continue
			}
			mac := strings.ToLower(c.MAC)
			there[mac] = true
			if _, seen := v.cards[node][mac]; !seen {
				v.cards[node][mac] = time.Time{}
				if !v.blind[node] {
					v.plug(node, mac)
				}
			}
		}
		for mac := range v.cards[node] {
			if !there[mac] {
				gone = append(gone, mac)
			}
		}
		for _, mac := range gone {
			delete(v.cards[node], mac)
			exec.Command("ip", "-n", lab.Name+"-"+node, "link", "del", device(mac)).Run()
		}
		for _, on := range v.cards {
			ours += len(on)
		}
		v.most = max(v.most, ours)
		v.mu.Unlock()
	}
}

// plug is what the guest's kernel does, some time after the card came: an interface that is down. Its name says nothing.
func (v *vcenter) plug(node, mac string) {
	v.made++
	peer := fmt.Sprintf("port%d", v.made)
	for _, words := range []string{
		fmt.Sprintf("-n %s-%s link add %s address %s type veth peer name %s netns %s", lab.Name, node, device(mac), mac, peer, v.segment),
		fmt.Sprintf("-n %s link set %s master wire up", v.segment, peer),
	} {
		if out, err := exec.Command("ip", strings.Fields(words)...).CombinedOutput(); err != nil {
			v.Errorf("ip %s: %v: %s", words, err, out)
		}
	}
	v.cards[node][mac] = time.Now()
}

func device(mac string) string { return "ens" + strings.ReplaceAll(mac, ":", "")[4:] }

// on are the nodes that have a card, and when the guest of the last one saw it.
func (v *vcenter) on() (have []string, seen time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, n := range nodes {
		for _, at := range v.cards[n] {
			have = append(have, n)
			if at.After(seen) {
				seen = at
			}
		}
	}
	return have, seen
}

// without waits until no node has a card.
func (v *vcenter) without(limit time.Duration) {
	v.Helper()
	must(v.T, drive.Until(within(v.T, limit), 200*time.Millisecond, func(context.Context) error {
		if have, _ := v.on(); len(have) > 0 {
			return fmt.Errorf("these nodes have a card: %v", have)
		}
		return nil
	}))
}

// secret tells the controller of the vCenter, and starts it again: kubelets take a minute to show a new Secret to a container that runs.
func (v *vcenter) secret() {
	v.Helper()
	ctx := within(v.T, time.Minute)
	const ns = "tsunagu-system"
	_, err := lab.Kubectl(ctx, "-n", ns, "create", "secret", "generic", "tsunagu-vsphere", "--from-literal=server="+v.hello.Server, "--from-literal=username="+v.hello.Username,
		"--from-literal=password="+v.hello.Password, "--from-literal=thumbprint="+v.hello.Thumbprint)
	must(v.T, err)
	v.Cleanup(func() { lab.Kubectl(context.Background(), "-n", ns, "delete", "secret", "tsunagu-vsphere") })
	_, err = lab.Kubectl(ctx, "-n", ns, "rollout", "restart", "deployment/tsunagu-controller")
	must(v.T, err)
	_, err = lab.Kubectl(ctx, "-n", ns, "rollout", "status", "deployment/tsunagu-controller", "--timeout=60s")
	must(v.T, err)
}

// machines writes into each Node which machine it is.
func (v *vcenter) machines() {
	v.Helper()
	for machine, node := range v.nodeOf {
		_, err := lab.Kubectl(within(v.T, 10*time.Second), "patch", "node", node, "--type=merge", "-p", fmt.Sprintf(`{"spec":{"providerID":"vsphere://%s"}}`, v.hello.Machines[machine]))
		must(v.T, err)
	}
}

// ready makes a Pod on the port group, waits for it and tells how long it took after the guest saw the card.
func (v *vcenter) ready(ns, name, net string, limit time.Duration) drive.Pod {
	v.Helper()
	must(v.T, lab.Apply(within(v.T, 20*time.Second), pod(ns, name, "", net)))
	pods, err := lab.Ready(within(v.T, limit), ns, "name="+name, 1)
	must(v.T, err)
	return pods[0]
}

// condition waits until the Network's condition says these words.
func (v *vcenter) condition(net string, limit time.Duration, words ...string) {
	v.Helper()
	must(v.T, drive.Until(within(v.T, limit), 300*time.Millisecond, func(ctx context.Context) error {
		said, err := lab.Kubectl(ctx, "get", "network", net, "-o", `jsonpath={range .status.conditions[?(@.type=="PortGroup")]}{.status} {.reason}: {.message}{end}`)
		if err == nil && !containsAll(said, words) {
			err = fmt.Errorf("the condition says %q, want %q in it", said, words)
		}
		return err
	}))
}

// A Pod on a port group that no node is on gets a node that is given a network card, runs there, and the card goes when nobody needs it any more,
// with Pods that come in that moment, a controller that is killed, a vCenter that is away and a guest that does not see its card.
func TestNodesAreGivenNetworkCards(t *testing.T) {
	v := newVCenter(t)
	ns := room(t, "e2e-vsphere")
	network(t, "e2e-vsphere", ns, `reach: {portGroup: {name: `+portGroup+`, idleAfter: 4s}}
attachment: {kind: macvlan}
subnets: [{cidr: 10.120.0.0/24, gateway: `+vcenterGateway+`, gatewayCheck: Require}]`)
	v.condition("e2e-vsphere", 20*time.Second, "False VCenterLogin", "tsunagu-vsphere")
	v.machines()
	v.secret()
	v.condition("e2e-vsphere", 60*time.Second, "True Usable", "none")

	began := time.Now()
	first := v.ready(ns, "first", "e2e-vsphere", time.Minute)
	have, seen := v.on()
	t.Logf("ready %.1f s after it was created, %.1f s after the guest saw the card", time.Since(began).Seconds(), time.Since(seen).Seconds())
	if took := time.Since(seen); took > 10*time.Second || len(have) != 1 || have[0] != first.Node {
		t.Errorf("cards on %v, the Pod on %s, ready %s after the guest saw the card", have, first.Node, took)
	}
	ping(t, first, "net1", vcenterGateway)
	t.Log(event(t, ns, "first", "NetworkCardIsAdded", "port group "+portGroup))

	t.Run("a second Pod uses the card", func(t *testing.T) {
		if p := v.ready(ns, "second", "e2e-vsphere", 30*time.Second); p.Node != first.Node {
			t.Errorf("it is on %s", p.Node)
		}
	})
	t.Run("the vCenter is away", func(t *testing.T) {
		v.order("stop")
		v.condition("e2e-vsphere", 100*time.Second, "VCenterUnavailable")
		ping(t, first, "net1", vcenterGateway)
		v.order("resume")
		v.condition("e2e-vsphere", 30*time.Second, "True Usable")
	})
	for _, name := range []string{"first", "second"} {
		remove(t, ns, name)
	}
	v.without(60 * time.Second)

	t.Run("Pods come when the card goes", func(t *testing.T) {
		for i, pause := range []time.Duration{4, 8, 10, 12} {
			name := fmt.Sprint("late", i)
			p := v.ready(ns, name, "e2e-vsphere", 90*time.Second)
			ping(t, p, "net1", vcenterGateway)
			remove(t, ns, name)
			time.Sleep(pause * time.Second)
		}
		v.without(60 * time.Second)
	})
	t.Run("the controller is killed", func(t *testing.T) {
		for i := range cycles(1) {
			name, pause := fmt.Sprint("killed", i), time.Duration(300+700*i)
			must(t, lab.Apply(within(t, 20*time.Second), pod(ns, name, "", "e2e-vsphere")))
			time.Sleep(pause * time.Millisecond)
			for _, n := range nodes {
				lab.Kill(n, "tsunagu-controller")
			}
			pods, err := lab.Ready(within(t, 120*time.Second), ns, "name="+name, 1)
			must(t, err)
			ping(t, pods[0], "net1", vcenterGateway)
			if have, _ := v.on(); len(have) != 1 {
				t.Errorf("after a kill these nodes have cards: %v", have)
			}
			remove(t, ns, name)
			v.without(120 * time.Second)
		}
	})
	v.mu.Lock()
	most := v.most
	v.mu.Unlock()
	if most != 1 {
		t.Errorf("%d cards at one time, one was enough", most)
	}
	t.Run("a guest does not see its card", func(t *testing.T) {
		v.mu.Lock()
		v.blind["node1"] = true // the first that is tried
		v.mu.Unlock()
		p := v.ready(ns, "blind", "e2e-vsphere", 240*time.Second)
		if p.Node == "node1" {
			t.Errorf("it is on %s", p.Node)
		}
		v.condition("e2e-vsphere", 20*time.Second, "did not find the network behind the card")
		remove(t, ns, "blind")
		v.without(60 * time.Second)
		v.mu.Lock()
		v.blind["node1"] = false
		v.mu.Unlock()
	})
	t.Run("a gate keeps a Pod from the scheduler meanwhile", func(t *testing.T) { v.gated(t, ns) })
}

// gated is what a Pod sees with --scheduling-gates: nobody is told that it does not fit anywhere, while a node is given what it needs.
func (v *vcenter) gated(t *testing.T, ns string) {
	must(t, lab.Apply(within(t, 30*time.Second), `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: e2e-gates}
rules:
- {apiGroups: [""], resources: [pods], verbs: [get, patch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: e2e-gates}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: e2e-gates}
subjects: [{kind: ServiceAccount, name: tsunagu-controller, namespace: tsunagu-system}]
`))
	t.Cleanup(func() {
		if _, err := lab.Kubectl(context.Background(), "delete", "clusterrole,clusterrolebinding", "e2e-gates"); err != nil {
			t.Error(err)
		}
	})
	controllerWith(t, "--scheduling-gates")
	const conditions, gates = `{range .status.conditions[?(@.type=="PodScheduled")]}{.reason}{end}`, `{.spec.schedulingGates[*].name}`
	v.condition("e2e-vsphere", 60*time.Second, "True Usable")
	must(t, lab.Apply(within(t, 20*time.Second), pod(ns, "gated", "", "e2e-vsphere")))
	if said, err := lab.Kubectl(within(t, 10*time.Second), "-n", ns, "get", "pod", "gated", "-o", "jsonpath="+gates+" "+conditions); err != nil || said != "tsunagu.dev/network SchedulingGated" {
		t.Errorf("the new Pod has %q (%v)", said, err)
	}
	pods, err := lab.Ready(within(t, 60*time.Second), ns, "name=gated", 1)
	must(t, err)
	ping(t, pods[0], "net1", vcenterGateway)
	if said, err := lab.Kubectl(within(t, 10*time.Second), "-n", ns, "get", "events", "--field-selector", "reason=FailedScheduling,involvedObject.name=gated", "-o", "jsonpath={.items[*].message}"); err != nil || said != "" {
		t.Errorf("the scheduler says %q (%v)", said, err)
	}
}

// event waits for an Event of a Pod.
func event(t *testing.T, ns, pod, reason string, words ...string) string {
	t.Helper()
	var found string
	must(t, drive.Until(within(t, 20*time.Second), 300*time.Millisecond, func(ctx context.Context) error {
		said, err := lab.Kubectl(ctx, "get", "events", "-n", ns, "--field-selector", "reason="+reason+",involvedObject.name="+pod, "-o", "jsonpath={.items[*].message}")
		if err == nil && !containsAll(said, words) {
			err = fmt.Errorf("Events %s of Pod %s say %q, want %q in it", reason, pod, said, words)
		}
		found = said
		return err
	}))
	return found
}

// remove deletes a Pod and waits until it is gone.
func remove(t *testing.T, ns, name string) {
	t.Helper()
	ctx := within(t, 60*time.Second)
	_, err := lab.Kubectl(ctx, "-n", ns, "delete", "pod", name, "--wait=false", "--grace-period=1")
	must(t, err)
	must(t, lab.Gone(ctx, ns, "name="+name))
}
