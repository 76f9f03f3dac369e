package bench

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Webhook are the figures of the controller in a cluster of crowdNodes nodes: how soon labels follow what nodes have, by how many writes, and how
// long a Pod's creation waits to be placed.
type Webhook struct {
	Nodes    int `json:"nodes"`
	Networks int `json:"networks"`
	// Settle is how long after the controller's start all nodes had their labels, Follow how long after the last of Changed nodes had told that it
	// lost networks, in milliseconds; the numbers of requests are those of each.
	Settle         float64  `json:"settlems"`
	Follow         float64  `json:"followms"`
	Changed        int      `json:"changed"`
	SettleRequests Requests `json:"settleRequests"`
	FollowRequests Requests `json:"followRequests"`
	// Place is what one request took, by webhookCases.
	Place  map[string]Summary `json:"place"`
	Memory Memory             `json:"memory"`
}

// crowdChanged is how many nodes lose crowdLost networks each.
const crowdChanged, crowdLost = 100, 5

// controllerUser is the controller's name to the API server.
const controllerUser = "tsunagu-controller"

// webhookCases are Pods whose creation is placed: some at a time, or one after the other.
var webhookCases = []struct {
	name, networks string
	flight         int
}{
	{"3 networks that nodes have", crowdNetwork(10) + "," + crowdNetwork(20) + "," + crowdNetwork(30), 1},
	{"the same, 8 at once", crowdNetwork(10) + "," + crowdNetwork(20) + "," + crowdNetwork(30), 8},
	{"a network that no node has", crowdNetwork(10) + "," + absentNetwork, 1},
	{"the same, 8 at once ", crowdNetwork(10) + "," + absentNetwork, 8},
}

// Webhook starts the controller among nodes that wait for it.
func (w *World) Webhook(ctx context.Context, o Options) (*Webhook, error) {
	f := &Webhook{Nodes: crowdNodes, Networks: crowdNetworks, Changed: crowdChanged, Place: map[string]Summary{}}
	w.say("making %d nodes with %d networks each", f.Nodes, f.Networks)
	if err := w.api.crowd(ctx); err != nil {
		return nil, fmt.Errorf("making nodes: %w", err)
	}
	w.say("starting tsunagu-controller")
	mark, begin := markAudit(), time.Now()
	c, err := start("tsunagu-controller", o.Work, nil, filepath.Join(w.programs.Product, "tsunagu-controller"), "-kubeconfig="+w.api.controller, "-leader-elect=false")
	if err != nil {
		return nil, err
	}
	defer c.stop()
	if f.SettleRequests, err = w.patched(ctx, c, mark, f.Nodes); err != nil {
		return nil, err
	}
	f.Settle = milliseconds(time.Since(begin))
	if err := w.haveLabels(ctx, map[int]int{crowdNetworks: crowdNodes}); err != nil {
		return nil, err
	}
	w.say("%d nodes lose %d networks each", crowdChanged, crowdLost)
	mark = markAudit()
	if err := atOnce(crowdChanged, func(i int) error { return w.api.says(ctx, i*7, crowdLost) }); err != nil {
		return nil, err
	}
	begin = time.Now()
	if f.FollowRequests, err = w.patched(ctx, c, mark, crowdChanged); err != nil {
		return nil, err
	}
	f.Follow = milliseconds(time.Since(begin))
	if err := w.haveLabels(ctx, map[int]int{crowdNetworks: crowdNodes - crowdChanged, crowdNetworks - crowdLost: crowdChanged}); err != nil {
		return nil, err
	}
	if err := w.placing(ctx, o, c, f); err != nil {
		return nil, err
	}
	f.Memory, err = memory(c.cmd.Process.Pid)
	return f, err
}

// patched waits until so many nodes were written since the mark, and a while longer for writes that are too many.
func (w *World) patched(ctx context.Context, c *process, mark auditMark, count int) (r Requests, err error) {
	of := func(agent string) bool { return strings.HasPrefix(agent, "tsunagu-controller/") }
	return r, c.wait(2*time.Minute, func() error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if r, err = mark.sinceOf(of); err == nil && r["patch nodes"] < count {
			err = fmt.Errorf("%d of %d nodes are written", r["patch nodes"], count)
		}
		return err
	})
}

// haveLabels looks twice, a while apart: nothing may be written again.
func (w *World) haveLabels(ctx context.Context, want map[int]int) error {
	mark := markAudit()
	time.Sleep(2 * time.Second)
	have, err := w.api.labelled(ctx)
	if err != nil {
		return err
	}
	if fmt.Sprint(have) != fmt.Sprint(want) {
		return fmt.Errorf("nodes by the number of their labels are %v, want %v", have, want)
	}
	if r, err := mark.since(); err != nil || r["patch nodes"] > 0 {
		return fmt.Errorf("nodes were written again: %v (%w)", r, err)
	}
	return nil
}

// placing has Pods placed, as the API server asks for it: over TLS, on connections that stay open.
func (w *World) placing(ctx context.Context, o Options, c *process, f *Webhook) error {
	var secret struct{ Data map[string][]byte }
	if err := c.wait(20*time.Second, func() error {
		return w.api.get(ctx, "/api/v1/namespaces/tsunagu-system/secrets/tsunagu-webhook", &secret)
	}); err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(secret.Data["ca.crt"])
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "tsunagu-webhook.tsunagu-system.svc"}}}
	for _, x := range webhookCases {
		w.say("placing %d Pods: %s", o.Placements, strings.TrimSpace(x.name))
		if err := c.wait(20*time.Second, func() error { return place(ctx, client, x.networks) }); err != nil {
			return err
		}
		took, errs := make(Sample, o.Placements), make([]error, x.flight)
		var crew sync.WaitGroup
		for k := range x.flight {
			crew.Go(func() {
				for i := k; i < o.Placements && errs[k] == nil; i += x.flight {
					begin := time.Now()
					errs[k] = place(ctx, client, x.networks)
					took[i] = time.Since(begin)
				}
			})
		}
		crew.Wait()
		for _, err := range errs {
			if err != nil {
				return err
			}
		}
		f.Place[x.name] = took.Summary()
	}
	return nil
}

const review = `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"1","operation":"CREATE","namespace":"default","name":"web",
"kind":{"group":"","version":"v1","kind":"Pod"},"resource":{"group":"","version":"v1","resource":"pods"},"object":{"apiVersion":"v1","kind":"Pod",
"metadata":{"name":"web","namespace":"default","annotations":{"k8s.v1.cni.cncf.io/networks":%q}},"spec":{"containers":[{"name":"main","image":"none"}]}}}}`

// place has one Pod placed. An answer that does not place it is an error.
func place(ctx context.Context, client *http.Client, networks string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://127.0.0.1:9874/placement", bytes.NewReader(fmt.Appendf(nil, review, networks)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	var said struct{ Response struct{ Patch []byte } }
	if err := json.Unmarshal(answer, &said); err != nil {
		return err
	}
	for _, n := range strings.Split(networks, ",") {
		if !bytes.Contains(said.Response.Patch, []byte("tsunagu.node-restriction.kubernetes.io/"+n+`"`)) {
			return fmt.Errorf("a Pod is not placed by network %s: %s", n, answer)
		}
	}
	return nil
}

// text is the part of the report.
func (f *Webhook) text(b *strings.Builder, line func(what string, s Summary)) {
	fmt.Fprintf(b, "\n%d nodes with %d networks each: all have their labels %.1f s after the controller's start; %d lose %d networks each, and their labels %.1f s after the last said so\n"+
		"Its API requests: %s\n  and: %s\nThe controller: %.1f MiB resident, %.1f at most\nPlacing one Pod over HTTPS, milliseconds\n",
		f.Nodes, f.Networks, f.Settle/1000, f.Changed, crowdLost, f.Follow/1000, f.SettleRequests, f.FollowRequests, mib(f.Memory.Resident), mib(f.Memory.Peak))
	for _, c := range webhookCases {
		line(c.name, f.Place[c.name])
	}
}

// targets are the promises.
func (f *Webhook) targets() (t []Target) {
	if f == nil {
		return nil
	}
	worst := 0.
	for _, s := range f.Place {
		worst = max(worst, s.P99)
	}
	return []Target{atMost("placing a Pod, ms (the worst p99)", worst, placeP99), atMost("labels of 1000 nodes with 50 networks, s", f.Settle/1000, settleWithin),
		atMost("writes per node that changed", max(float64(f.SettleRequests["patch nodes"])/float64(f.Nodes), float64(f.FollowRequests["patch nodes"])/float64(f.Changed)), 1)}
}
