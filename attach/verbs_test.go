package attach

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/tsunagu-net/tsunagu/kernel/link"
)

// verbs is a run of verbs in any order, and what must be true after each.
type verbs struct {
	*node
	random   *rand.Rand
	boxes    []*sandbox
	attached map[*sandbox]bool
	broken   map[*sandbox]bool // an interface of it was taken by hand
	story    []string
}

// Verbs come in any order, twice or never, with interfaces taken away by hand and agents started anew between them: each answers what is true,
// and whatever happened before, ADD attaches, DEL and GC leave nothing.
func TestVerbsInAnyOrder(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	n := newNode(t)
	n.plant("touch")
	n.define("blue", blue)
	n.define("hub", `{"cniVersion":"1.0.0","name":"hub","plugins":[{"type":"bridge","bridge":"tsthub","ipam":{"type":"whereabouts","range":"10.9.0.0/24"}},{"type":"tstplug-touch"}]}`)
	n.define("point", `{"type":"ptp","ipam":{"type":"whereabouts","range":"10.11.0.0/24"}}`)
	v := &verbs{node: n, random: rand.New(rand.NewPCG(seed, 1)), attached: map[*sandbox]bool{}, broken: map[*sandbox]bool{}}
	for i := range 4 {
		v.boxes = append(v.boxes, n.pod(fmt.Sprintf("web-%d", i), []string{"", "blue,blue", "hub,point", "hub@a,blue@b,point@c"}[i]))
	}
	for step := range 160 {
		s := v.boxes[v.random.IntN(len(v.boxes))]
		switch k := v.random.IntN(20); {
		case k < 6:
			v.add(s)
		case k < 10:
			v.del(s)
		case k < 14:
			v.check(s)
		case k < 16:
			v.gc()
		case k < 17:
			v.told("STATUS", s.call("STATUS"), 0)
		case k < 19:
			v.take(s)
		default:
			v.say("the agent is started anew")
			n.stop()
			n.boot()
		}
		if v.consistent(); t.Failed() {
			t.Fatalf("step %d of seed %d:\n%s", step, seed, strings.Join(v.story, "\n"))
		}
	}
	for _, s := range v.boxes {
		v.del(s)
	}
	n.clean()
}

func (v *verbs) say(format string, args ...any) {
	v.story = append(v.story, fmt.Sprintf(format, args...))
}

// told judges an answer; 0 is success.
func (v *verbs) told(what string, r reply, want ...int) {
	v.Helper()
	code := 0
	if r.code != 0 {
		code = r.failure(v).Code
	}
	v.say("%s → %d", what, code)
	if !slices.Contains(want, code) {
		v.Errorf("%s: code %d, want %v: %s", what, code, want, r.output)
	}
}

func (v *verbs) add(s *sandbox) {
	v.Helper()
	r := s.call("ADD")
	v.told("ADD "+s.pod.Name, r, 0)
	var result addResult
	if err := json.Unmarshal([]byte(r.output), &result); err != nil || len(result.IPs) != 2 {
		v.Errorf("ADD %s: %v: %s", s.pod, err, r.output)
	}
	v.attached[s], v.broken[s] = true, false
}

func (v *verbs) del(s *sandbox) {
	v.Helper()
	v.told("DEL "+s.pod.Name, s.call("DEL"), 0)
	v.attached[s], v.broken[s] = false, false
}

func (v *verbs) check(s *sandbox) {
	v.Helper()
	want := 0
	switch {
	case !v.attached[s]:
		want = 3 // unknown container, CNI specification 1.1.0, "Error"
	case v.broken[s]:
		want = 7
	}
	v.told("CHECK "+s.pod.Name, s.call("CHECK"), want)
}

// gc keeps some of the sandboxes, and names some that nobody knows.
func (v *verbs) gc() {
	v.Helper()
	valid := []map[string]string{}
	var kept []string
	for _, s := range v.boxes {
		if v.random.IntN(3) > 0 {
			valid, kept = append(valid, map[string]string{"containerID": s.id, "ifname": "eth0"}), append(kept, s.pod.Name)
		} else {
			v.attached[s], v.broken[s] = false, false
		}
	}
	for range v.random.IntN(3) {
		valid = append(valid, map[string]string{"containerID": fmt.Sprintf("nobody-%d", v.random.IntN(9)), "ifname": []string{"eth0", "", "net1"}[v.random.IntN(3)]})
	}
	v.random.Shuffle(len(valid), func(i, j int) { valid[i], valid[j] = valid[j], valid[i] })
	config, err := json.Marshal(map[string]any{"cniVersion": "1.1.0", "name": "tsunagu", "type": "tsunagu-cni", "socket": v.socket(), "cni.dev/valid-attachments": valid})
	v.must(err)
	v.told(fmt.Sprintf("GC that keeps %v", kept), callShim(v, map[string]string{"CNI_COMMAND": "GC", "CNI_PATH": "/opt/cni/bin"}, string(config)), 0)
}

// take takes an interface of a sandbox away by hand.
func (v *verbs) take(s *sandbox) {
	v.Helper()
	if !v.attached[s] || v.broken[s] {
		return
	}
	c, err := link.Dial(s.ns)
	v.must(err)
	defer c.Close()
	links, err := c.Links()
	v.must(err)
	links = slices.DeleteFunc(links, func(l link.Link) bool { return l.Name == "lo" })
	l := links[v.random.IntN(len(links))]
	v.say("%s of %s is taken by hand", l.Name, s.pod.Name)
	v.must(c.Apply(link.DeleteIndex(l.Name, l.Index)))
	v.broken[s] = true
}

// consistent compares interfaces, addresses and records.
func (v *verbs) consistent() {
	v.Helper()
	held := map[string]int{}
	for _, h := range v.allocator.Held() {
		held[h.Owner.ContainerID] += len(h.Grants)
	}
	for _, s := range v.boxes {
		have := s.interfaces()
		addresses := 0
		for _, all := range have {
			addresses += len(all)
		}
		switch {
		case !v.attached[s] && (len(have) > 0 || held[s.id] > 0):
			v.Errorf("%s is not attached and has %v, %d addresses held", s.pod, have, held[s.id])
		case v.attached[s] && !v.broken[s] && (len(have) == 0 || held[s.id] != addresses):
			v.Errorf("%s has %v, %d addresses held", s.pod, have, held[s.id])
		case v.attached[s] && v.broken[s] && held[s.id] == 0:
			v.Errorf("%s lost an interface, and its addresses were given up while the Pod runs", s.pod)
		}
	}
}
