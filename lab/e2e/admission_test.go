package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/lab/drive"
)

// soon is what creating a Pod may take whatever became of the controller.
const soon = 1500 * time.Millisecond

// served waits until the API server asks the controller.
func served(t *testing.T, namespace string) {
	t.Helper()
	must(t, drive.Until(within(t, time.Minute), 500*time.Millisecond, func(ctx context.Context) error {
		said, err := lab.Told(ctx, pod(namespace, "probe", "", "no-such-network"), "create", "--dry-run=server", "-f", "-")
		if err == nil && !strings.Contains(said, "no-such-network") {
			err = errors.New("no warning: " + said)
		}
		return err
	}))
}

var postTook = regexp.MustCompile(`verb="POST".*/pods.*milliseconds=(\d+)`)

// creates measures how long the API server takes to create a Pod on networks;
// nothing is kept of it.
func creates(t *testing.T, namespace string) time.Duration {
	t.Helper()
	said, err := lab.Told(within(t, 20*time.Second), pod(namespace, "probe", "", "no-such-network"), "create", "--dry-run=server", "-v=6", "-f", "-")
	must(t, err)
	m := postTook.FindStringSubmatch(said)
	if m == nil {
		t.Fatalf("kubectl does not say how long it took: %s", said)
	}
	ms, err := strconv.Atoi(m[1])
	must(t, err)
	return time.Duration(ms) * time.Millisecond
}

// Whoever writes what cannot be is told at once, in the words in which a node
// would refuse it later.
func TestPeopleAreToldAtOnce(t *testing.T) {
	ns := room(t, "e2e-told")
	network(t, "e2e-told", ns, macvlan("up1", "192.168.93.0/24")+"\n  ranges: [192.168.93.10-192.168.93.20]")
	served(t, ns)
	selects := func(ip string) string { return fmt.Sprintf(`[{"name":"e2e-told","ips":[%q]}]`, ip) }
	create(t, ns, "holder", "node1", selects("192.168.93.11"))
	for networks, want := range map[string]string{
		"e2e-tlod":               "near names there: e2e-told",
		selects("192.168.93.99"): "lies outside the pool's ranges 192.168.93.10-192.168.93.20",
		selects("192.168.93.11"): "Pod " + ns + "/holder",
	} {
		must(t, drive.Until(within(t, 20*time.Second), 200*time.Millisecond, func(ctx context.Context) error {
			said, err := lab.Told(ctx, pod(ns, "probe", "", networks), "apply", "--dry-run=server", "-f", "-")
			if err == nil && !(strings.Contains(said, "Warning: tsunagu: ") && strings.Contains(said, want) && strings.Contains(said, "To fix: ")) {
				err = fmt.Errorf("networks %s: want %q, kubectl said %q", networks, want, said)
			}
			return err
		}))
	}
	quoted, err := json.Marshal("e2e-tlod")
	must(t, err)
	said, err := lab.Told(within(t, 20*time.Second), fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: %s}
spec:
  selector: {matchLabels: {a: b}}
  template:
    metadata: {labels: {a: b}, annotations: {k8s.v1.cni.cncf.io/networks: %s}}
    spec: {containers: [{name: c, image: %s}]}
`, ns, quoted, agnhost), "apply", "--dry-run=server", "-f", "-")
	must(t, err)
	if !strings.Contains(said, `To fix: write "e2e-told"`) {
		t.Errorf("kubectl said %q", said)
	}
	said, err = lab.Told(within(t, 20*time.Second), "apiVersion: tsunagu.dev/v1alpha1\nkind: IPPool\nmetadata: {name: e2e-told}\nspec: {cidr: 10.96.0.0/24}\n", "apply", "--dry-run=server", "-f", "-")
	must(t, err)
	if !strings.Contains(said, "range of Services") {
		t.Errorf("kubectl said %q", said)
	}
}

// Creating Pods never waits for a controller that is gone.
func TestPodsAreCreatedWithoutTheController(t *testing.T) {
	ns := room(t, "e2e-alone")
	served(t, ns)
	t.Logf("with the controller: %s", creates(t, ns))
	killed := 0
	for _, node := range nodes {
		n, err := lab.Kill(node, "tsunagu-controller")
		if err != nil {
			continue // the lab may have fewer nodes
		}
		killed += n
	}
	if killed == 0 {
		t.Fatal("no controller runs")
	}
	for range 5 {
		if took := creates(t, ns); took > soon {
			t.Errorf("after the controller was killed creating a Pod takes %s", took)
		}
	}
	served(t, ns)
	_, err := lab.Kubectl(within(t, time.Minute), "scale", "-n", "tsunagu-system", "deployment/tsunagu-controller", "--replicas=0")
	must(t, err)
	t.Cleanup(func() {
		if _, err := lab.Kubectl(context.Background(), "scale", "-n", "tsunagu-system", "deployment/tsunagu-controller", "--replicas=1"); err != nil {
			t.Error(err)
		}
	})
	for range 5 {
		if took := creates(t, ns); took > soon {
			t.Errorf("without a controller creating a Pod takes %s", took)
		}
	}
}

// An uninstall takes the webhook's configuration along, and keeps nobody from
// creating Pods meanwhile.
func TestUninstallLeavesNoWebhook(t *testing.T) {
	ns := room(t, "e2e-unhook")
	served(t, ns)
	ctx := within(t, 4*time.Minute)
	// Without agents Pods are neither started nor stopped, so it comes back.
	t.Cleanup(func() {
		if err := lab.Install(context.Background(), say); err != nil {
			t.Error(err)
		}
	})
	gone := make(chan error, 1)
	go func() { gone <- lab.Uninstall(ctx) }()
	var worst time.Duration
	for done := false; !done; {
		select {
		case err := <-gone:
			must(t, err)
			done = true
		default:
		}
		worst = max(worst, creates(t, ns))
	}
	t.Logf("creating a Pod took %s at most during the uninstall", worst)
	if worst > soon {
		t.Errorf("creating a Pod takes %s during the uninstall", worst)
	}
	must(t, drive.Until(ctx, time.Second, func(ctx context.Context) error {
		out, err := lab.Kubectl(ctx, "get", "validatingwebhookconfigurations", "-o", "name")
		if err == nil && strings.Contains(out, "/tsunagu") {
			err = errors.New("the configuration is still there")
		}
		return err
	}))
}

// tsunagu status asks the agents through the API server, so it knows the
// overlay of each node.
func TestStatusKnowsTheOverlay(t *testing.T) {
	ctx := within(t, time.Minute)
	cmd := exec.CommandContext(ctx, filepath.Join(lab.Root, "bin", "tsunagu"), "status", "-o", "json", "--kubeconfig", lab.Kubeconfig())
	out, err := cmd.Output()
	must(t, err)
	var status struct {
		Nodes []struct{ Name, Overlay string } `json:"nodes"`
	}
	must(t, json.Unmarshal(out, &status))
	if len(status.Nodes) == 0 {
		t.Fatalf("no nodes in %s", out)
	}
	for _, n := range status.Nodes {
		if !strings.HasPrefix(n.Overlay, "vxlan-gpe") {
			t.Errorf("overlay of %s is %q", n.Name, n.Overlay)
		}
	}
}
