package kind

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/attach/reference"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// usual is the Pod that benchmarks wire: eth0 and two macvlan networks.
func usual(w *world, p *netns.Namespace) []Attachment {
	w.Helper()
	return []Attachment{
		w.attach(p, "eth0", w.spec("pod", `{}`), "10.244.0.2/24"),
		w.attach(p, "net1", w.spec("macvlan", `{"master":"up1"}`), "192.168.10.1/24"),
		w.attach(p, "net2", w.spec("macvlan", `{"master":"up2"}`), "192.168.11.1/24"),
	}
}

// laps measures the same thing again and again and reports its median and 99th percentile.
type laps []time.Duration

func (l *laps) time(f func()) {
	start := time.Now()
	f()
	*l = append(*l, time.Since(start))
}

func (l laps) report(b *testing.B, what string) {
	slices.Sort(l)
	b.ReportMetric(float64(l[len(l)/2].Microseconds()), what+"-p50-µs")
	b.ReportMetric(float64(l[len(l)*99/100].Microseconds()), what+"-p99-µs")
}

func BenchmarkWire(b *testing.B) {
	w := newWorld(b)
	p := w.pod()
	var wire, unwire laps
	for b.Loop() {
		as := usual(w, p)
		var wired []Wired
		wire.time(func() { wired = w.wire(p, as...) })
		unwire.time(func() { w.unwire(p, wired) })
	}
	wire.report(b, "wire")
	unwire.report(b, "unwire")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkReferencePlugins does the same with ptp, macvlan and macvlan of containernetworking-plugins executed in turn, with host-local
// addresses.
func BenchmarkReferencePlugins(b *testing.B) {
	const dir = reference.Debian
	if _, err := os.Stat(filepath.Join(dir, "ptp")); err != nil {
		b.Fatal("the benchmark compares with the reference plugins: install containernetworking-plugins")
	}
	w := newWorld(b)
	p := w.pod()
	data := b.TempDir()
	config := func(typ, master, subnet string) []byte {
		c, _ := json.Marshal(map[string]any{"cniVersion": "1.0.0", "name": "tst" + master, "type": typ, "master": master,
			"ipam": map[string]any{"type": "host-local", "dataDir": data, "ranges": []any{[]any{map[string]any{"subnet": subnet}}}}})
		return c
	}
	plugins := []struct {
		typ, ifName string
		config      []byte
	}{
		{"ptp", "eth0", config("ptp", "", "10.244.0.0/24")},
		{"macvlan", "net1", config("macvlan", "up1", "192.168.10.0/24")},
		{"macvlan", "net2", config("macvlan", "up2", "192.168.11.0/24")},
	}
	run := func(verb string) {
		for _, plugin := range plugins {
			cmd := exec.CommandContext(context.Background(), "nsenter", "--net="+w.node.Path(), filepath.Join(dir, plugin.typ))
			cmd.Env = []string{"CNI_COMMAND=" + verb, "CNI_CONTAINERID=tst", "CNI_NETNS=" + p.Path(), "CNI_IFNAME=" + plugin.ifName, "CNI_PATH=" + dir}
			cmd.Stdin = bytes.NewReader(plugin.config)
			if out, err := cmd.Output(); err != nil {
				b.Fatal(fmt.Errorf("%s %s: %w: %s", verb, plugin.typ, err, out))
			}
		}
	}
	var add, del laps
	for b.Loop() {
		add.time(func() { run("ADD") })
		del.time(func() { run("DEL") })
	}
	add.report(b, "add")
	del.report(b, "del")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkCrowd wires and unwires 200 Pods, 50 at a time.
func BenchmarkCrowd(b *testing.B) {
	w := newWorld(b)
	const pods, flight = 200, 50
	namespaces := make([]*netns.Namespace, pods)
	for i := range namespaces {
		namespaces[i] = w.pod()
	}
	for b.Loop() {
		wired := make([][]Wired, pods)
		b.ReportMetric(crowd(pods, flight, func(i int) {
			as := everyPod(w, namespaces[i], i)
			wired[i] = w.wire(namespaces[i], as...)
		}), "wire/s")
		b.ReportMetric(crowd(pods, flight, func(i int) { w.unwire(namespaces[i], wired[i]) }), "unwire/s")
	}
}

// everyPod is usual with addresses of its own.
func everyPod(w *world, p *netns.Namespace, i int) []Attachment {
	return []Attachment{
		w.attach(p, "eth0", w.spec("pod", `{}`), fmt.Sprintf("10.244.0.%d/24", i+2)),
		w.attach(p, "net1", w.spec("macvlan", `{"master":"up1"}`), fmt.Sprintf("192.168.10.%d/24", i+2)),
		w.attach(p, "net2", w.spec("macvlan", `{"master":"up2"}`), fmt.Sprintf("192.168.11.%d/24", i+2)),
	}
}

// crowd does n things, some of them at the same time, and returns how many were done per second.
func crowd(n, flight int, do func(i int)) float64 {
	start := time.Now()
	tokens := make(chan struct{}, flight)
	var wg sync.WaitGroup
	for i := range n {
		tokens <- struct{}{}
		wg.Go(func() {
			do(i)
			<-tokens
		})
	}
	wg.Wait()
	return float64(n) / time.Since(start).Seconds()
}
