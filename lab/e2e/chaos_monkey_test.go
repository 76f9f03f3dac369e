package e2e

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tsunagu-net/tsunagu/lab/drive"
)

// monkey breaks things at moments and places that follow from a seed.
type monkey struct {
	random *rand.Rand
	mu     sync.Mutex
	extra  string // the node that comes and goes; "" while it is away
	did    map[string]int
	failed []string
}

// chaosNode is the node that is removed and joins again under its name.
const chaosNode = "node4"

// places are the nodes that Pods can be put on now.
func (m *monkey) places() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.extra != "" {
		return append(slices.Clone(nodes), m.extra)
	}
	return nodes
}

func (m *monkey) note(what string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.did[what]++
	if err != nil {
		m.failed = append(m.failed, what+": "+err.Error())
	}
}

// run breaks something every few seconds until ctx ends: everything once, then by chance. It ends with the API server running.
func (m *monkey) run(ctx context.Context) {
	type trick struct {
		what   string
		weight int
		do     func(context.Context)
	}
	var outage sync.WaitGroup
	defer outage.Wait()
	tricks := []trick{
		{"agent killed", 8, func(context.Context) { m.kill("tsunagu-agent") }},
		{"controller killed", 2, func(context.Context) { m.kill("tsunagu-controller") }},
		{"API server stopped", 1, func(ctx context.Context) {
			outage.Wait()
			d := time.Duration(5000+m.random.IntN(15000)) * time.Millisecond
			outage.Go(func() { m.stopAPI(ctx, d) })
		}},
		{"kubelet restarted", 1, func(ctx context.Context) { m.restart(ctx, "kubelet") }},
		{"containerd restarted", 1, func(ctx context.Context) { m.restart(ctx, "containerd") }},
		{"node removed or joined", 1, func(ctx context.Context) { outage.Wait(); m.node(ctx) }},
	}
	var next []int
	for i := range tricks {
		next = append(next, i)
	}
	m.random.Shuffle(len(next), func(i, j int) { next[i], next[j] = next[j], next[i] })
	for ctx.Err() == nil {
		var i int
		if len(next) > 0 {
			i, next = next[0], next[1:]
		} else {
			i = m.byWeight(len(tricks), func(i int) int { return tricks[i].weight })
		}
		say("chaos: " + tricks[i].what)
		tricks[i].do(ctx)
		pause(ctx, time.Duration(1000+m.random.IntN(3000))*time.Millisecond)
	}
}

func (m *monkey) byWeight(n int, weight func(int) int) int {
	sum := 0
	for i := range n {
		sum += weight(i)
	}
	at := m.random.IntN(sum)
	for i := range n {
		if at -= weight(i); at < 0 {
			return i
		}
	}
	return 0
}

// kill kills a program on the node where it runs, one of them if there are several.
func (m *monkey) kill(program string) {
	places := m.places()
	for _, i := range m.random.Perm(len(places)) {
		if n, err := lab.Kill(places[i], program); n > 0 || err != nil {
			m.note(program+" killed", err)
			return
		}
	}
}

func (m *monkey) stopAPI(ctx context.Context, d time.Duration) {
	_, err := lab.Tell(context.WithoutCancel(ctx), "stop", "node1", "kube-apiserver", "--now")
	pause(ctx, d)
	if _, again := lab.Tell(context.WithoutCancel(ctx), "start", "node1", "kube-apiserver"); err == nil {
		err = again
	}
	m.note("API server stopped", err)
}

func (m *monkey) restart(ctx context.Context, component string) {
	places := m.places()
	_, err := lab.Tell(context.WithoutCancel(ctx), "restart", places[m.random.IntN(len(places))], component)
	m.note(component+" restarted", err)
}

// node takes the extra node away, with all that runs on it, or lets it join.
func (m *monkey) node(ctx context.Context) {
	m.mu.Lock()
	have := m.extra
	m.extra = ""
	m.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
	defer cancel()
	if have != "" {
		m.note("node removed", order(ctx, "remove-node"))
		pause(ctx, 2*time.Second)
	}
	err := order(ctx, "add-node")
	m.note("node joined", err)
	if err == nil {
		m.mu.Lock()
		m.extra = chaosNode
		m.mu.Unlock()
	}
}

// order has the extra node removed or added, again while the API server is not quite back.
func order(ctx context.Context, verb string) error {
	return drive.Until(ctx, time.Second, func(ctx context.Context) error {
		_, err := lab.Tell(ctx, verb, chaosNode)
		return err
	})
}

// away removes the extra node for good, also one of which half is left.
func (m *monkey) away(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.extra = ""
	out, err := lab.Tell(ctx, "status")
	if err != nil || !strings.Contains(out, chaosNode) {
		return err
	}
	return order(ctx, "remove-node")
}

func (m *monkey) String() string {
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(m.did)) {
		parts = append(parts, fmt.Sprintf("%s %d times", what, m.did[what]))
	}
	return strings.Join(parts, ", ")
}
