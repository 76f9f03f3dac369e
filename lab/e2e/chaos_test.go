package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/lab/drive"
)

// workers make Pods at the same time, each one after the other.
const workers = 6

// Pods come and go at full speed on a /28, a range that overlaps it, a /24 with IPv6 and a /16, with addresses of their own choice and
// Pods of a StatefulSet among them, while agents and the controller are killed, the API server is stopped, kubelets and runtimes are
// restarted, and a node is removed and joins again under its name. At no time has an address two interfaces; in the end nothing is
// left; every Pod that was kept waiting says why.
func TestChaos(t *testing.T) {
	// How long it goes on, in Go's words (75s, 10m). It has a run of its own, `make test-chaos`: what it breaks beside other work on two
	// cores takes minutes to come to rest.
	length, err := time.ParseDuration(os.Getenv("TSUNAGU_E2E_CHAOS"))
	if err != nil {
		t.Skip("SKIP: chaos has a run of its own: make test-chaos, or TSUNAGU_E2E_CHAOS=10m")
	}
	seed := uint64(time.Now().UnixNano())
	if n, err := strconv.ParseUint(os.Getenv("TSUNAGU_E2E_SEED"), 10, 64); err == nil {
		seed = n
	}
	t.Logf("TSUNAGU_E2E_CHAOS=%s TSUNAGU_E2E_SEED=%d", length, seed)
	ns := room(t, "e2e-chaos")
	chaosDefinitions(t, ns)
	before := snapshot(t)
	api, err := lab.Dial(within(t, 20*time.Second))
	must(t, err)
	defer api.Close()
	must(t, lab.Apply(within(t, 20*time.Second), stickySet(ns, 0)))

	ape := &monkey{random: rand.New(rand.NewPCG(seed, 0)), did: map[string]int{}}
	l := &load{api: api, namespace: ns, places: ape.places, waited: map[string]int{}}
	w := &witness{}
	ctx, stop := context.WithTimeout(t.Context(), length)
	defer stop()
	watched := make(chan struct{})
	var looking, working sync.WaitGroup
	looking.Go(func() { w.watch(watched, ape.places) })
	for i := range workers {
		working.Go(func() { l.churn(ctx, i, rand.New(rand.NewPCG(seed, uint64(i+1)))) })
	}
	working.Go(func() { l.scaleSticky(ctx, rand.New(rand.NewPCG(seed, 99))) })
	working.Go(func() { ape.run(ctx) })
	working.Wait()

	t.Logf("%d Pods made, %d ready; at most %d addresses at once; the StatefulSet went up %d times\n%s\nPods that waited for more than %s: %s\nlooked into the sandboxes %d times, %.1f ms each",
		l.made, l.ready, w.most, l.scaled, ape, patience, l.reasons(), w.samples, float64(w.looked.Milliseconds())/float64(max(w.samples, 1)))
	say("chaos: it is over; waiting until all is quiet")
	calm := within(t, 6*time.Minute)
	must(t, ape.away(calm))
	must(t, drive.Until(calm, time.Second, func(ctx context.Context) error {
		_, err := lab.Kubectl(ctx, "delete", "statefulset,pod", "-n", ns, "--all", "--timeout=90s")
		return err
	}))
	must(t, lab.Gone(calm, ns, ""))
	close(watched)
	looking.Wait()
	for _, f := range ape.failed {
		t.Errorf("the test itself: %s", f)
	}
	for _, wrong := range l.wrong {
		t.Error(wrong)
	}
	if len(l.unexplained) > 0 {
		t.Errorf("%d refusals are explained by no Event of ours:\n%s", len(l.unexplained), strings.Join(l.unexplained[:min(len(l.unexplained), 5)], "\n"))
	}
	if l.ready < 5 || w.most < 5 {
		t.Errorf("%d Pods became ready: too few to prove anything", l.ready)
	}
	judge(t, w)
	// The addresses of the node that was removed last rest for a minute by the clock of the controller, which may just have begun anew.
	must(t, drive.Until(within(t, 4*time.Minute), time.Second, blocksAreEmpty))
	settles(t, before)
}

// chaosDefinitions are the networks. The ranges of the first two overlap: an address of one is not free in the other.
func chaosDefinitions(t *testing.T, ns string) {
	t.Helper()
	must(t, lab.Apply(within(t, 20*time.Second), `apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: tiny, namespace: `+ns+`}
spec:
  config: |
    {"cniVersion": "1.0.0", "type": "macvlan", "master": "up1", "mode": "bridge", "ipam": {"type": "whereabouts", "range": "10.110.0.0/28"}}
---
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: tinier, namespace: `+ns+`}
spec:
  config: |
    {"cniVersion": "1.0.0", "type": "macvlan", "master": "up1", "mode": "bridge",
     "ipam": {"type": "whereabouts", "range": "10.110.0.0/27", "range_start": "10.110.0.6", "range_end": "10.110.0.19"}}
`))
	network(t, "chaos-mid", ns, macvlan("up1", "192.168.111.0/24\n- cidr: fd00:111::/64"))
	network(t, "chaos-big", ns, macvlan("up2", "10.111.0.0/16"))
}

// judge asks the oracle of all tiers whether an address was ever on two interfaces.
func judge(t *testing.T, w *witness) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "uses")
	n, err := w.write(path)
	must(t, err)
	cmd := exec.Command("go", "run", "./cmd/tsunagu-fleet", "-judge="+path)
	cmd.Dir = lab.Root
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("of %d uses of addresses:\n%s", n, tail(string(out), 20))
	}
	t.Logf("the oracle on %d uses: %s", n, strings.TrimSpace(tail(string(out), 1)))
}

// blocksAreEmpty: no block says that an address of it is in use by a secondary interface.
func blocksAreEmpty(ctx context.Context) error {
	var list struct {
		Items []struct {
			Metadata struct{ Name string }
			Spec     struct {
				Owner     struct{ Node string }
				UsedCount int
			}
		}
	}
	if err := lab.Get(ctx, &list, "ipblocks.tsunagu.dev"); err != nil {
		return err
	}
	var left []string
	for _, b := range list.Items {
		if b.Spec.UsedCount > 0 {
			left = append(left, fmt.Sprintf("%s of %s has %d", b.Metadata.Name, b.Spec.Owner.Node, b.Spec.UsedCount))
		}
	}
	if len(left) > 0 {
		return fmt.Errorf("blocks with addresses in use by nobody: %s", strings.Join(left, ", "))
	}
	return nil
}
