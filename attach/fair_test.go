package attach

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// start20 attaches 20 ordinary Pods, two at a time, and gives how long each took.
func (n *node) start20(round string) []time.Duration {
	n.Helper()
	took := make([]time.Duration, 20)
	var all sync.WaitGroup
	places := make(chan struct{}, 2)
	boxes := make([]*sandbox, len(took))
	for i := range boxes {
		boxes[i] = n.pod(fmt.Sprintf("web-%s-%d", round, i), "blue,hub")
	}
	for i, s := range boxes {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			r := s.call("ADD")
			if took[i] = r.took; r.code != 0 {
				n.Errorf("%s: %s", s.pod, r.output)
			}
		})
	}
	all.Wait()
	for _, s := range boxes {
		s.ok("DEL")
	}
	return took
}

// Plugins and DHCP servers that do not answer hold up their own Pods and nobody else, however many of those there are: ordinary Pods start as
// fast as without them. The plugins are executed at most so often at once, and for so long; then their Pods are told.
func TestSlowOnesHoldUpNobody(t *testing.T) {
	n := newNode(t)
	n.plant("never")
	n.define("blue", blue)
	n.define("hub", `{"type":"bridge","bridge":"tsthub","ipam":{"type":"whereabouts","range":"10.9.0.0/24"}}`)
	n.define("stuck", `{"cniVersion":"1.0.0","type":"tstplug-never"}`)
	n.define("silent", `{"type":"macvlan","master":"up1","ipam":{"type":"dhcp"}}`)
	n.start20("warm")
	var with, without []time.Duration
	for round := range 3 {
		without = append(without, n.start20(fmt.Sprintf("a%d", round))...)
		var slow sync.WaitGroup
		for i := range 24 { // more than a plugin has places
			s := n.pod(fmt.Sprintf("slow-%d-%d", round, i), "blue,"+[]string{"stuck", "silent"}[i%2])
			began := make(chan struct{})
			slow.Go(func() {
				close(began)
				r := s.call("ADD")
				if r.code == 0 {
					n.Errorf("%s was attached", s.pod)
				}
				if most := 30 * time.Second; r.took > most {
					n.Errorf("%s was told after %v, want at most %v", s.pod, r.took, most)
				}
				if !strings.Contains(r.output, "not done after 4s") && !strings.Contains(r.output, "no DHCP server") && !strings.Contains(r.output, "answered") {
					n.Errorf("%s: %s", s.pod, r.output)
				}
				s.ok("DEL")
			})
			<-began
		}
		n.until("plugins wait", func() bool { return n.running("tstplug-never") >= 6 })
		with = append(with, n.start20(fmt.Sprintf("b%d", round))...)
		if n.running("tstplug-never") == 0 {
			t.Error("the slow plugins ended before the ordinary Pods")
		}
		slow.Wait()
	}
	slices.Sort(with)
	slices.Sort(without)
	p99 := func(all []time.Duration) time.Duration { return all[len(all)*99/100] }
	t.Logf("ADD of ordinary Pods: p50 %v, p99 %v; beside 24 that wait: p50 %v, p99 %v", without[len(without)/2], p99(without), with[len(with)/2], p99(with))
	// One hold-up would cost seconds; the machine of a test may be busy with something else.
	if p99(with) > 3*p99(without)+100*time.Millisecond {
		t.Errorf("p99 is %v beside slow ones, %v without", p99(with), p99(without))
	}
	n.clean()
}

// running counts the processes of a fake plugin of this node.
func (n *node) running(name string) (count int) {
	all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range all {
		if text, err := os.ReadFile(path); err == nil && strings.HasPrefix(string(text), n.dir+"/bin/"+name) {
			count++
		}
	}
	return count
}

func (n *node) until(what string, is func() bool) {
	n.Helper()
	for range 600 {
		if is() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	n.Fatal("never happened: " + what)
}
