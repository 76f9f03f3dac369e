package attach

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// crash ends whoever writes to the log of sandboxes at a certain write, as if the process had been killed there: before the write is on
// disk, or after.
type crash struct {
	mu    sync.Mutex
	at    int // the write, counted from 1; 0 is never
	after bool
	dead  chan struct{}
}

type crashLog struct {
	Log
	*crash
}

func (c *crash) log(l Log) Log {
	if c == nil {
		return l
	}
	return crashLog{l, c}
}

func (c *crash) arm(at int, after bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at, c.after, c.dead = at, after, make(chan struct{})
}

func (l crashLog) Put(key string, value []byte) error {
	l.mu.Lock()
	now := false
	if l.at > 0 {
		l.at--
		now = l.at == 0
	}
	after, dead := l.after, l.dead
	l.mu.Unlock()
	if !now {
		return l.Log.Put(key, value)
	}
	defer close(dead)
	if after {
		_ = l.Log.Put(key, value)
	}
	runtime.Goexit()
	return nil
}

// An agent that is killed at any step of a change finishes it, or undoes it if nobody permits it any more, at its next start: there is never
// half of it.
func TestLiveAgentIsKilledAtEveryStep(t *testing.T) {
	for _, permitted := range []bool{true, false} {
		t.Run(fmt.Sprintf("permitted=%v", permitted), func(t *testing.T) { killedAtEveryStep(t, permitted) })
	}
}

func killedAtEveryStep(t *testing.T, permitted bool) {
	n := newMachine(t)
	n.crash = &crash{}
	n.boot()
	t.Cleanup(func() { n.stop() })
	n.plant("touch")
	n.define("blue", blue)
	n.define("hub", `{"cniVersion":"1.0.0","name":"hub","plugins":[{"type":"bridge","bridge":"tsthub","ipam":{"type":"whereabouts","range":"10.9.0.0/24"}},{"type":"tstplug-touch","dir":"`+n.dir+`"}]}`)
	const from, to = `[{"name":"blue","ips":["192.168.10.50"]},{"name":"hub"},{"name":"hub","interface":"old"},{"name":"hub","interface":"x"}]`,
		`[{"name":"blue","ips":["192.168.10.51"]},{"name":"hub"},{"name":"blue","interface":"data"},{"name":"blue","interface":"x"}]`
	nets := func(s *sandbox) (all []string) {
		record, _ := n.server.records.get(s.id)
		for _, w := range record.Interfaces[1:] {
			all = append(all, w.IfName+" "+w.Network+" "+w.Addresses[0].Prefix.String())
		}
		slices.Sort(all)
		return all
	}
	steps := 0
	for at := 1; ; at++ {
		crashed := false
		for _, after := range []bool{false, true} {
			n.edit(func() { n.live["default"] = true })
			s := n.pod(fmt.Sprintf("web-%d-%v", at, after), from)
			s.add()
			s.reported("eth0", "net1", "net2", "old", "x")
			time.Sleep(5 * time.Millisecond) // that it was reported is written too
			before, eth0, net2 := nets(s), s.index("eth0"), s.index("net2")
			n.crash.arm(at, after)
			s.wishes(to)
			done := time.After(3 * time.Second)
			for waiting := true; waiting; {
				record, _ := n.server.records.get(s.id)
				select {
				case <-n.crash.dead:
					crashed, waiting = true, false
				case <-done:
					t.Fatalf("step %d: nothing happens: %+v", at, record.Change)
				case <-time.After(2 * time.Millisecond):
					waiting = *record.Annotation != to || record.Change != nil || !record.Reported
				}
			}
			n.crash.arm(0, false)
			n.stop()
			n.edit(func() { n.live["default"] = permitted })
			n.boot()
			where := fmt.Sprintf("step %d, after=%v", at, after)
			for range 400 {
				time.Sleep(5 * time.Millisecond)
				record, _ := n.server.records.get(s.id)
				if record.Change == nil && !record.Amiss && (*record.Annotation == to || !permitted && record.Told != "") {
					break
				}
			}
			s.rests()
			record, _ := n.server.records.get(s.id)
			got := nets(s)
			switch {
			case record.Change != nil || record.Amiss:
				t.Errorf("%s: it is not at rest: %+v, %v, annotation %s", where, record.Change, record.Amiss, *record.Annotation)
			case *record.Annotation == to:
				names := []string{}
				for _, line := range got {
					name, _, _ := strings.Cut(line, " ")
					names = append(names, name)
				}
				if !slices.Equal(names, []string{"data", "net1", "net2", "x"}) || !slices.Contains(got, "net1 default/blue 192.168.10.51/24") {
					t.Errorf("%s: it has %v", where, got)
				}
			case permitted:
				t.Errorf("%s: it was not finished: %v", where, got)
			case !cmp.Equal(got, before):
				t.Errorf("%s: it was not undone: %s", where, cmp.Diff(before, got))
			}
			if len(s.interfaces()) != len(got)+1 || s.index("eth0") != eth0 || s.index("net2") != net2 {
				t.Errorf("%s: the Pod has %v", where, s.interfaces())
			}
			addresses := 0
			for _, h := range n.allocator.Held() {
				addresses += len(h.Grants)
			}
			have := 0
			for _, all := range s.interfaces() {
				have += len(all)
			}
			if addresses != have {
				t.Errorf("%s: %d addresses are held, the Pod has %d", where, addresses, have)
			}
			s.ok("CHECK")
			s.ok("DEL")
			n.clean()
		}
		if !crashed {
			break
		}
		steps = at
	}
	t.Logf("killed at %d steps", 2*steps)
	if steps < 4 {
		t.Errorf("only %d steps", steps)
	}
}
