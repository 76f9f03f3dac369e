package attach

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// actor is the configuration of a fake plugin that takes its time and then changes the Pod: sysctls below net, and routes, of which the first
// to come has a destination.
type actor struct {
	CNIVersion string            `json:"cniVersion,omitempty"`
	Type       string            `json:"type"`
	Sysctl     map[string]string `json:"sysctl,omitempty"`
	Routes     []route           `json:"routes,omitempty"`
	Delays     string            `json:"delays"` // a file: milliseconds by interface
	Fails      string            `json:"fails,omitempty"`
	Prev       json.RawMessage   `json:"prevResult,omitempty"`
}

type route struct {
	Dst string `json:"dst"`
}

// act is such a plugin at work.
func act(verb string, input []byte) int {
	var a actor
	if err := json.Unmarshal(input, &a); err != nil {
		fmt.Printf(`{"code":100,"msg":%q}`, err)
		return 1
	}
	ifName := os.Getenv("CNI_IFNAME")
	var delays map[string]int
	text, _ := os.ReadFile(a.Delays)
	_ = json.Unmarshal(text, &delays)
	if log, err := os.OpenFile(a.Delays+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err == nil {
		defer log.Close()
		fmt.Fprintf(log, "+%d\n", time.Now().UnixNano())
		defer func() { fmt.Fprintf(log, "-%d\n", time.Now().UnixNano()) }()
	}
	time.Sleep(time.Duration(delays[ifName]) * time.Millisecond)
	if verb != "ADD" {
		return 0
	}
	if a.Fails == ifName {
		fmt.Printf(`{"cniVersion":%q,"code":100,"msg":"it does not want to"}`, a.CNIVersion)
		return 1
	}
	ns, err := netns.Open(os.Getenv("CNI_NETNS"))
	if err == nil {
		err = a.change(ns, ifName)
	}
	if err != nil {
		fmt.Printf(`{"cniVersion":%q,"code":100,"msg":%q}`, a.CNIVersion, err)
		return 1
	}
	_, _ = os.Stdout.Write(a.Prev)
	return 0
}

func (a actor) change(ns *netns.Namespace, ifName string) error {
	if err := ns.Do(func() error {
		for key, value := range a.Sysctl {
			if err := link.WriteHere(strings.ReplaceAll(strings.TrimPrefix(key, "net."), ".", "/"), value); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return err
	}
	c, err := link.Dial(ns)
	if err != nil {
		return err
	}
	defer c.Close()
	l, err := c.ByName(ifName)
	if err != nil {
		return err
	}
	for _, r := range a.Routes {
		if err := c.Apply(link.AddRoute(ifName, link.Route{Index: l.Index, Dst: netip.MustParsePrefix(r.Dst)}).Forgiving()); err != nil {
			return err
		}
	}
	return nil
}

var actSysctls, actRoutes = []string{"net.ipv4.ip_forward", "net.ipv4.ip_default_ttl", "net.ipv4.conf.all.log_martians"}, []string{"172.20.0.0/16", "172.21.0.0/16", "172.22.0.0/16"}

// acting defines networks whose plugins change what others change too, and gives their definitions.
func (n *node) acting(random *rand.Rand, count int) []actor {
	n.Helper()
	all := make([]actor, count)
	for i := range all {
		a := actor{Type: "tstplug-act", Sysctl: map[string]string{}, Delays: n.dir + "/delays"}
		if random.IntN(2) == 0 {
			key := actSysctls[random.IntN(len(actSysctls))]
			a.Sysctl[key] = map[string]string{"net.ipv4.ip_default_ttl": fmt.Sprint(64 + i)}[key]
			if a.Sysctl[key] == "" {
				a.Sysctl[key] = fmt.Sprint(i % 2)
			}
		}
		for _, dst := range actRoutes {
			if random.IntN(3) == 0 {
				a.Routes = append(a.Routes, route{dst})
			}
		}
		all[i] = a
		config, err := json.Marshal(map[string]any{"cniVersion": "1.0.0", "name": fmt.Sprintf("act%d", i), "plugins": []any{
			map[string]any{"type": "macvlan", "master": "up1", "ipam": map[string]any{"type": "whereabouts", "range": fmt.Sprintf("192.168.%d.0/24", 40+i%2)}}, a}})
		n.must(err)
		n.define(fmt.Sprintf("act%d", i), string(config))
	}
	return all
}

func (n *node) delay(random *rand.Rand, interfaces int) {
	n.Helper()
	delays := map[string]int{}
	for i := range interfaces {
		delays[fmt.Sprintf("net%d", i+1)] = random.IntN(40)
	}
	text, err := json.Marshal(delays)
	n.must(err)
	n.must(os.WriteFile(n.dir+"/delays", text, 0o600))
}

// state is all of a Pod that plugins of several networks can have had a hand in.
func (s *sandbox) state() map[string]string {
	s.Helper()
	all := map[string]string{}
	c, err := link.Dial(s.ns)
	s.must(err)
	defer c.Close()
	links, err := c.Links()
	s.must(err)
	routes, err := c.Routes()
	s.must(err)
	for _, r := range routes {
		if slices.Contains(actRoutes, r.Dst.String()) {
			i := slices.IndexFunc(links, func(l link.Link) bool { return l.Index == r.Index })
			all["route "+r.Dst.String()] = links[i].Name
		}
	}
	s.must(s.ns.Do(func() error {
		for _, key := range actSysctls {
			all[key] = link.ReadHere(strings.ReplaceAll(strings.TrimPrefix(key, "net."), ".", "/"))
		}
		return nil
	}))
	for name, addresses := range s.interfaces() {
		if name != "eth0" {
			all["interface "+name] = strings.Join(addresses, " ")
		}
	}
	return all
}

// Whatever the order in which the plugins of a Pod's networks get done, the Pod comes out as if they had been executed one by one in the order
// of the annotation; those that have nothing to do with each other do not wait for each other.
func TestParallelPluginsEndInOneState(t *testing.T) {
	n := newNode(t)
	n.plant("act")
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	for round := range 12 {
		actors := n.acting(random, 6)
		var list []string
		for range 2 + random.IntN(4) {
			list = append(list, fmt.Sprintf("act%d", random.IntN(len(actors))))
		}
		blank := n.pod("blank", "")
		want := blank.state()
		taken := map[int]int{}
		for i, name := range list {
			var k int
			fmt.Sscanf(name, "act%d", &k)
			for key, value := range actors[k].Sysctl {
				want[key] = value
			}
			for _, r := range actors[k].Routes {
				if want["route "+r.Dst] == "" {
					want["route "+r.Dst] = fmt.Sprintf("net%d", i+1)
				}
			}
			taken[k%2]++
			want[fmt.Sprintf("interface net%d", i+1)] = fmt.Sprintf("192.168.%d.%d/24", 40+k%2, taken[k%2])
		}
		for try := range 2 {
			n.delay(random, len(list))
			s := n.pod(fmt.Sprintf("web-%d-%d", round, try), strings.Join(list, ","))
			s.add()
			if diff := cmp.Diff(want, s.state()); diff != "" {
				delays, _ := os.ReadFile(n.dir + "/delays")
				t.Errorf("%v with %+v, delays %s:\n%s", list, actors, delays, diff)
			}
			s.ok("CHECK")
			s.ok("DEL")
			n.clean()
		}
	}
}

// One that fails has all others called off and taken back, at the same time as well.
func TestParallelFailureUndoesAll(t *testing.T) {
	n := newNode(t)
	n.plant("act")
	const wait = 400
	for i := range 4 {
		n.define(fmt.Sprintf("p%d", i), fmt.Sprintf(`{"cniVersion":"1.0.0","name":"p%d","plugins":[{"type":"macvlan","master":"up1","ipam":{"type":"whereabouts","range":"192.168.4%d.0/24"}},
			{"type":"tstplug-act","delays":%q,"fails":"net4"}]}`, i, i, n.dir+"/delays"))
	}
	n.must(os.WriteFile(n.dir+"/delays", fmt.Appendf(nil, `{"net1":%d,"net2":%d,"net3":%d,"net4":10}`, wait, wait, wait), 0o600))
	s := n.pod("web", "p0,p1,p2,p3")
	var r reply
	n.together(4, "ADD", func() { r = s.call("ADD") })
	if e := r.failure(t); !strings.Contains(e.Msg, "it does not want to") || !strings.Contains(e.Msg, "net4") {
		t.Errorf("got %+v", e)
	}
	if left := s.interfaces(); len(left) > 0 {
		t.Errorf("left in the sandbox: %v", left)
	}
	n.clean()
	s.pod.Networks = "p0,p1,p2"
	n.pods["default/web"] = s.pod
	n.together(3, "ADD", func() { s.add() })
	n.together(3, "DEL", func() { s.ok("DEL") })
	n.clean()
}

// together does something and fails when not so many plugins were at work at one time.
func (n *node) together(want int, what string, do func()) {
	n.Helper()
	_ = os.Remove(n.dir + "/delays.log")
	do()
	text, err := os.ReadFile(n.dir + "/delays.log")
	n.must(err)
	lines := strings.Fields(string(text))
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[1:], b[1:]) }) // by time
	now, most := 0, 0
	for _, line := range lines {
		if line[0] == '+' {
			now++
		} else {
			now--
		}
		most = max(most, now)
	}
	if most < want {
		n.Errorf("%s: %d plugins were at work at one time, want %d", what, most, want)
	}
}

func TestAfter(t *testing.T) {
	step := func(config string) []stepRecord {
		return []stepRecord{{Step: Step{Type: "x", Raw: json.RawMessage(config), Foreign: true}}}
	}
	chains := map[string]chainRecord{
		"net1": {Name: "a", Steps: step(`{"sysctl":{"net.ipv4.ip_forward":"1"},"master":"up1"}`)},
		"net2": {Name: "b", Steps: step(`{"master":"up1","ipam":{"type":"host-local"}}`)},
		"net3": {Name: "c", Steps: step(`{"linksInContainer":true,"links":[{"name":"net1"},{"name":"net2"}]}`)},
		"net4": {Name: "d", Steps: step(`{"sysctl":{"net/ipv4/ip_forward":"0"}}`)},
		"net5": {Name: "b", Steps: step(`{"ipam":{"type":"host-local"}}`)},
		"net6": {Name: "e", Steps: step(`{"isDefaultGateway":true}`)},
		"net7": {Name: "f", Steps: step(`{"ipam":{"routes":[{"dst":"0.0.0.0/0"}]}}`)},
	}
	got := after([]string{"eth0", "net1", "net2", "net3", "net4", "net5", "net6", "net7"}, chains)
	if diff := cmp.Diff([][]int{nil, nil, nil, {1, 2}, {1}, {2}, nil, {6}}, got); diff != "" {
		t.Error(diff)
	}
}
