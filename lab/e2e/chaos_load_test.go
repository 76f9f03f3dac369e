package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tsunagu-net/tsunagu/lab/drive"
)

// load makes Pods and deletes them as fast as the lab can, and asks of each that waited why.
type load struct {
	api       *drive.API
	namespace string
	places    func() []string

	mu          sync.Mutex
	made, ready int
	waited      map[string]int // Pods that waited for more than patience, by what an Event says
	unexplained []string
	wrong       []string // what must not be
	scaled      int
}

// patience is how long a Pod may take before it must say why.
const patience = 10 * time.Second

func (l *load) say(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wrong = append(l.wrong, fmt.Sprintf(format, args...))
}

func (l *load) path(rest string) string { return "/api/v1/namespaces/" + l.namespace + rest }

// churn is one worker: a Pod comes, lives a little, and goes.
func (l *load) churn(ctx context.Context, worker int, random *rand.Rand) {
	for i := 0; ctx.Err() == nil; i++ {
		places := l.places()
		name, node := fmt.Sprintf("churn-%d-%d", worker, i), places[random.IntN(len(places))]
		created := time.Now()
		if !l.persist(ctx, "POST", "/pods", chaosPod(name, node, chaosNetworks(random)), http.StatusConflict) {
			return
		}
		l.mu.Lock()
		l.made++
		l.mu.Unlock()
		l.await(ctx, name, created, patience+time.Duration(random.IntN(10))*time.Second)
		pause(ctx, time.Duration(random.IntN(3000))*time.Millisecond)
		var grace any
		if random.IntN(4) == 0 { // by force: the Pod is gone before its sandbox is
			grace = map[string]any{"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0}
		}
		l.persist(ctx, "DELETE", "/pods/"+name, grace, http.StatusNotFound)
	}
}

// persist repeats a request while the API server is away; one code means that it was done before. False: time is over.
func (l *load) persist(ctx context.Context, method, path string, body any, done int) bool {
	for ctx.Err() == nil {
		err := l.api.Do(ctx, method, l.path(path), body, nil)
		if err == nil || drive.Refused(err, done) {
			return true
		}
		pause(ctx, 300*time.Millisecond)
	}
	return false
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// await waits until a Pod is ready, or long enough. If it took long the reason is noted.
func (l *load) await(ctx context.Context, name string, created time.Time, most time.Duration) {
	var p drive.Pod
	for ctx.Err() == nil && time.Since(created) < most {
		pause(ctx, 250*time.Millisecond)
		got, err := l.api.Pod(ctx, l.namespace, name)
		if drive.Refused(err, http.StatusNotFound) {
			return // its node was removed
		}
		if err != nil {
			created = created.Add(250 * time.Millisecond) // nobody could have done anything, and nobody could tell
			continue
		}
		if p = got; p.Ready {
			break
		}
	}
	if ctx.Err() != nil || p.UID == "" {
		return
	}
	l.mu.Lock()
	if p.Ready {
		l.ready++
	}
	l.mu.Unlock()
	if time.Since(created) > patience {
		l.explain(ctx, p)
	}
}

// explain asks the Events of a Pod why it waited. One that no sandbox was refused for was slow, not refused.
func (l *load) explain(ctx context.Context, p drive.Pod) {
	var list struct {
		Items []struct{ Type, Reason, Message string }
	}
	for ctx.Err() == nil {
		if l.api.Do(ctx, "GET", l.path("/events?fieldSelector=involvedObject.uid="+p.UID), nil, &list) == nil {
			break
		}
		pause(ctx, 300*time.Millisecond)
	}
	why, refusal := "slow: no sandbox was refused", ""
	for _, e := range list.Items {
		switch {
		case e.Type != "Warning" || slices.Contains([]string{"FailedScheduling", "BackOff", "Unhealthy", "NodeNotReady", "FailedMount", "NetworkNotReady", "FailedKillPod"}, e.Reason):
		case e.Reason == "FailedCreatePodSandBox":
			if refusal == "" || of(e.Message) == "" {
				refusal = e.Message
			}
		default:
			why = e.Reason
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if strings.HasPrefix(why, "slow") && refusal != "" {
		if why = of(refusal); why == "" {
			l.unexplained = append(l.unexplained, fmt.Sprintf("Pod %s on %s: %s", p.Name, p.Node, refusal))
			why = "not explained by an Event of ours"
		}
	}
	l.waited[why]++
}

// of is the cause that the kubelet's own Event names when we could not write one: we were not there, or the runtime was not.
func of(message string) string {
	for words, why := range map[string]string{
		"tsunagu-agent is not running": "sandbox: agent is not running", "tsunagu-agent did not answer": "sandbox: agent did not answer",
		"tsunagu-agent cannot be asked": "sandbox: agent is not running", "tsunagu-agent is not ready": "sandbox: agent is not ready",
		"the container runtime gave the call up": "sandbox: given up by the runtime", "the sandbox was deleted": "sandbox: was deleted", "the sandbox is being deleted": "sandbox: was deleted",
		"containerd.sock": "sandbox: runtime is away", "error reading from server": "sandbox: runtime is away", "context canceled": "sandbox: given up by the runtime",
		"server is not initialized yet": "sandbox: runtime has just started", "cni plugin not initialized": "sandbox: runtime has just started", "is reserved for": "sandbox: runtime still has the one before",
		"the API server is needed for it": "sandbox: API server was away", // what the agent wanted to say of it is lost if it is killed before it is back
		"pod not found":                   "sandbox: Pod was gone", "not found": "sandbox: Pod was gone",
	} {
		if strings.Contains(message, words) {
			return why
		}
	}
	return ""
}

// chaosNetworks chooses what a Pod is on: one or two networks, sometimes with an address that others want too.
func chaosNetworks(random *rand.Rand) string {
	names := []string{"tiny", "tinier", "chaos-mid", "chaos-big"}
	random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	type selection struct {
		Name string   `json:"name"`
		IPs  []string `json:"ips,omitempty"`
	}
	var list []selection
	for _, n := range names[:1+random.IntN(2)] {
		s := selection{Name: n}
		if random.IntN(4) == 0 {
			switch n {
			case "chaos-mid":
				s.IPs = []string{fmt.Sprintf("192.168.111.%d", 200+random.IntN(6)), fmt.Sprintf("fd00:111::%x", 0x200+random.IntN(6))}
			case "chaos-big":
				s.IPs = []string{fmt.Sprintf("10.111.%d.%d", random.IntN(3), 10+random.IntN(40))}
			case "tiny":
				s.IPs = []string{fmt.Sprintf("10.110.0.%d", 1+random.IntN(14))}
			}
		}
		list = append(list, s)
	}
	text, _ := json.Marshal(list)
	return string(text)
}

func chaosPod(name, node, networks string) any {
	return map[string]any{"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{"name": name, "labels": map[string]string{"chaos": "churn"}, "annotations": map[string]string{"k8s.v1.cni.cncf.io/networks": networks}},
		"spec": map[string]any{"nodeName": node, "terminationGracePeriodSeconds": 1, "automountServiceAccountToken": false, "enableServiceLinks": false,
			"tolerations": []any{map[string]string{"operator": "Exists"}},
			"containers":  []any{map[string]any{"name": "c", "image": agnhost, "args": []string{"pause"}}}}}
}

// stickySet is a StatefulSet whose Pods keep their addresses.
func stickySet(namespace string, replicas int) string {
	return fmt.Sprintf(`apiVersion: apps/v1
kind: StatefulSet
metadata: {name: sticky, namespace: %s}
spec:
  replicas: %d
  serviceName: sticky
  podManagementPolicy: Parallel
  selector: {matchLabels: {chaos: sticky}}
  template:
    metadata:
      labels: {chaos: sticky}
      annotations: {k8s.v1.cni.cncf.io/networks: "chaos-mid, chaos-big"}
    spec:
      terminationGracePeriodSeconds: 1
      automountServiceAccountToken: false
      containers:
      - {name: c, image: "%s", args: [pause]}
`, namespace, replicas, agnhost)
}

// scaleSticky takes the StatefulSet up and down. Its Pods always have the addresses that they had first.
func (l *load) scaleSticky(ctx context.Context, random *rand.Rand) {
	first := map[string][]netip.Addr{}
	for ctx.Err() == nil {
		if !l.scaleTo(ctx, 3) {
			return
		}
		var pods []drive.Pod
		for began := time.Now(); ctx.Err() == nil && time.Since(began) < 90*time.Second; pause(ctx, 500*time.Millisecond) {
			all, err := l.api.PodList(ctx, l.namespace, "chaos=sticky")
			if pods = slices.DeleteFunc(all, func(p drive.Pod) bool { return !p.Ready || p.Deleted || len(p.Interfaces) < 3 }); err == nil && len(pods) == 3 {
				break
			}
		}
		for _, p := range pods {
			var ips []netip.Addr
			for _, i := range p.Interfaces {
				if !i.Default {
					ips = append(ips, i.IPs...)
				}
			}
			if had := first[p.Name]; had != nil && !slices.Equal(had, ips) {
				l.say("Pod %s of the StatefulSet had %v and has %v now", p.Name, had, ips)
			}
			first[p.Name] = ips
		}
		l.mu.Lock()
		l.scaled++
		l.mu.Unlock()
		pause(ctx, time.Duration(random.IntN(3000))*time.Millisecond)
		if !l.scaleTo(ctx, random.IntN(2)) {
			return
		}
		pause(ctx, time.Duration(2000+random.IntN(4000))*time.Millisecond)
	}
}

func (l *load) scaleTo(ctx context.Context, n int) bool {
	patch := map[string]any{"spec": map[string]any{"replicas": n}}
	for ctx.Err() == nil {
		if l.api.Do(ctx, "PATCH", "/apis/apps/v1/namespaces/"+l.namespace+"/statefulsets/sticky", patch, nil) == nil {
			return true
		}
		pause(ctx, 500*time.Millisecond)
	}
	return false
}

// reasons lists what Pods waited for.
func (l *load) reasons() string {
	var lines []string
	for _, why := range slices.Sorted(maps.Keys(l.waited)) {
		lines = append(lines, fmt.Sprintf("%d × %s", l.waited[why], why))
	}
	if len(lines) == 0 {
		return "none"
	}
	return strings.Join(lines, ", ")
}
