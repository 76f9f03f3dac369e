package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/tsunagu-net/tsunagu/lab/drive"
)

// Ready are the figures of many Pods on one node of a lab, from their creation until the last is Ready: with four networks, and without.
type Ready struct {
	Machine Machine              `json:"machine"`
	Pods    int                  `json:"pods"`
	Seconds map[string][]float64 `json:"seconds"` // by readySides, one per round
	Ratio   float64              `json:"ratio"`   // the median of the ratios of the rounds
	CPU     map[string][]float64 `json:"cpums"`   // of the whole machine, milliseconds per Pod
	Targets []Target             `json:"targets"`
}

const (
	readyWide   = "eth0 + 4 networks"
	readyNarrow = "eth0 alone"
	readySpace  = "tsunagu-bench"
	readyImage  = "registry.k8s.io/pause:3.10.2"
)

// creators is how many Pods are created at the same time: as a controller does it.
const creators = 16

// PodsReady runs against a lab that is up and has tsunagu installed, or gets it. The two kinds of Pods are created in turns, and who begins
// alternates.
func PodsReady(ctx context.Context, o Options, out, log io.Writer) (met bool, err error) {
	r := &readyRun{lab: drive.Lab{Root: o.Root, Name: o.Lab}, node: o.Node, log: log}
	f := Ready{Machine: thisMachine(), Pods: o.ReadyPods, Seconds: map[string][]float64{}, CPU: map[string][]float64{}}
	if err := r.raise(ctx); err != nil {
		return false, errors.Join(err, r.end())
	}
	sides := []string{readyWide, readyNarrow}
	if _, err = r.round(ctx, readyNarrow, min(10, o.ReadyPods)); err == nil { // images and programs are in memory from here on
		for i := range o.ReadyRounds {
			for j := range sides {
				side := sides[(i+j)%2]
				var took time.Duration
				before := busyTime()
				if took, err = r.round(ctx, side, o.ReadyPods); err != nil {
					break
				}
				f.Seconds[side] = append(f.Seconds[side], took.Seconds())
				f.CPU[side] = append(f.CPU[side], milliseconds(busyTime()-before)/float64(o.ReadyPods))
				fmt.Fprintf(log, "  round %d of %d: %s, %d Pods Ready after %.1f s\n", i+1, o.ReadyRounds, side, o.ReadyPods, took.Seconds())
			}
			if err != nil {
				break
			}
		}
	}
	if err = errors.Join(err, r.end()); err != nil {
		return false, err
	}
	var pairs []float64
	for i, narrow := range f.Seconds[readyNarrow] {
		pairs = append(pairs, f.Seconds[readyWide][i]/narrow)
	}
	f.Ratio, f.Machine.LoadTo = median(pairs), load()
	f.Targets = []Target{atMost(fmt.Sprintf("%d Pods on one node until Ready, %s / %s", f.Pods, readyWide, readyNarrow), f.Ratio, readyRatio)}
	if o.JSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return f.Targets[0].Met, e.Encode(f)
	}
	fmt.Fprintf(out, "%d Pods on node %s until the last is Ready, %d rounds in turns; seconds\n", f.Pods, o.Node, o.ReadyRounds)
	for _, side := range sides {
		fmt.Fprintf(out, "  %-20s median %6.2f   %.2f; the machine's CPU per Pod, with its end: %.0f ms\n", side, median(f.Seconds[side]), f.Seconds[side], median(f.CPU[side]))
	}
	_, err = fmt.Fprintln(out, f.Targets[0].line())
	return f.Targets[0].Met, err
}

// readyRun is such a run.
type readyRun struct {
	lab    drive.Lab
	node   string
	log    io.Writer
	api    *drive.API
	rounds int
}

// raise installs tsunagu, and makes a namespace and four networks.
func (r *readyRun) raise(ctx context.Context) (err error) {
	if err := r.lab.Install(ctx, func(s string) { fmt.Fprintln(r.log, s) }); err != nil {
		return err
	}
	if r.api, err = r.lab.Dial(ctx); err != nil {
		return err
	}
	var all strings.Builder
	fmt.Fprintf(&all, "apiVersion: v1\nkind: Namespace\nmetadata: {name: %s}\n", readySpace)
	for i := range 4 {
		fmt.Fprintf(&all, "---\napiVersion: tsunagu.dev/v1alpha1\nkind: Network\nmetadata: {name: bench-%d}\nspec:\n  namespaces: {names: [%s]}\n"+
			"  reach: {interface: up%d}\n  attachment: {kind: macvlan}\n  subnets:\n  - cidr: 10.12%d.0.0/16\n", i, readySpace, 1+i%2, i)
	}
	if err := r.lab.Apply(ctx, all.String()); err != nil {
		return err
	}
	return drive.Until(ctx, 200*time.Millisecond, func(ctx context.Context) error {
		for i := range 4 {
			if _, err := r.lab.Kubectl(ctx, "get", "network-attachment-definitions", fmt.Sprintf("bench-%d", i), "-n", readySpace); err != nil {
				return err
			}
		}
		_, err := r.lab.Kubectl(ctx, "get", "serviceaccount", "default", "-n", readySpace)
		return err
	})
}

// end removes what raise made.
func (r *readyRun) end() error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	if r.api != nil {
		r.api.Close()
	}
	_, err := r.lab.Kubectl(ctx, "delete", "namespace", readySpace, "--ignore-not-found", "--timeout=120s")
	for i := range 4 {
		_, one := r.lab.Kubectl(ctx, "delete", "networks.tsunagu.dev", fmt.Sprintf("bench-%d", i), "--ignore-not-found")
		err = errors.Join(err, one)
	}
	return err
}

// round creates Pods, gives how long it took until all were Ready, and removes them.
func (r *readyRun) round(ctx context.Context, side string, pods int) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	r.rounds++
	label, networks, interfaces := fmt.Sprintf("round=r%d", r.rounds), "", 1
	if side == readyWide {
		networks, interfaces = "bench-0,bench-1,bench-2,bench-3", 5
	}
	begun := time.Now()
	if err := r.create(ctx, pods, networks); err != nil {
		return 0, err
	}
	err := drive.Until(ctx, 100*time.Millisecond, func(ctx context.Context) error {
		all, err := r.api.PodList(ctx, readySpace, label)
		ready := 0
		for _, p := range all {
			if p.Ready && len(p.Interfaces) == interfaces {
				ready++
			}
		}
		if err == nil && ready < pods {
			err = fmt.Errorf("%d of %d Pods are ready", ready, pods)
		}
		return err
	})
	took := time.Since(begun)
	if err != nil {
		return 0, err
	}
	if _, err := r.lab.Kubectl(ctx, "delete", "pods", "-n", readySpace, "-l", label, "--grace-period=0", "--force", "--wait=true"); err != nil {
		return 0, err
	}
	if err := r.lab.Gone(ctx, readySpace, label); err != nil {
		return 0, err
	}
	time.Sleep(5 * time.Second) // kubelet and containerd go on after the objects are gone
	return took, ctx.Err()
}

// create makes the Pods of a round.
func (r *readyRun) create(ctx context.Context, pods int, networks string) error {
	var all sync.WaitGroup
	work, errs := make(chan int), make([]error, pods)
	for range creators {
		all.Go(func() {
			for i := range work {
				annotations := map[string]string{}
				if networks != "" {
					annotations["k8s.v1.cni.cncf.io/networks"] = networks
				}
				errs[i] = r.api.Do(ctx, http.MethodPost, "/api/v1/namespaces/"+readySpace+"/pods", map[string]any{
					"apiVersion": "v1", "kind": "Pod",
					"metadata": map[string]any{"name": fmt.Sprintf("r%d-%03d", r.rounds, i), "labels": map[string]string{"round": fmt.Sprintf("r%d", r.rounds)}, "annotations": annotations},
					"spec": map[string]any{"nodeName": r.node, "terminationGracePeriodSeconds": 0, "automountServiceAccountToken": false,
						"containers": []any{map[string]any{"name": "c", "image": readyImage}}},
				}, nil)
			}
		})
	}
	for i := range pods {
		work <- i
	}
	close(work)
	all.Wait()
	return errors.Join(errs...)
}
