package attach

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// newLiveNode is a node whose Pods of namespace default may change networks.
func newLiveNode(t testing.TB) *node {
	n := newNode(t)
	n.edit(func() { n.live["default"] = true })
	n.define("blue", blue)
	n.define("hub", `{"type":"bridge","bridge":"tsthub","ipam":{"type":"whereabouts","range":"10.9.0.0/24"}}`)
	return n
}

// wishes edits the Pod's annotation.
func (s *sandbox) wishes(networks string) {
	s.Helper()
	s.edit(func() {
		p := s.pods[s.pod.String()]
		p.Networks = networks
		s.pods[s.pod.String()] = p
	})
}

// comes waits until the sandbox has these interfaces, and nothing else under way.
func (s *sandbox) comes(want map[string][]string) {
	s.Helper()
	var got map[string][]string
	for range 400 {
		record, _ := s.server.records.get(s.id)
		if got = s.interfaces(); cmp.Equal(want, got) && record.Change == nil && record.State == Wired {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	s.Errorf("%s: %s", s.pod, cmp.Diff(want, got))
}

// rests waits until nothing is to be done for the sandbox, and tells whether what it had then is what it has now.
func (s *sandbox) rests() {
	s.Helper()
	for range 400 {
		s.server.live.mu.Lock()
		t := s.server.live.tries[s.id]
		idle := t == nil || t.cancel == nil
		s.server.live.mu.Unlock()
		if record, _ := s.server.records.get(s.id); idle && record.Change == nil {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	s.Errorf("%s does not come to rest", s.pod)
}

// reaches waits until the sandbox is what an annotation says.
func (s *sandbox) reaches(annotation string) {
	s.Helper()
	for range 400 {
		if record, _ := s.server.records.get(s.id); record.Annotation != nil && *record.Annotation == annotation && record.Change == nil {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	s.Errorf("%s does not get %q", s.pod, annotation)
}

// index is the number of an interface: another one of its name has another.
func (s *sandbox) index(ifName string) int {
	s.Helper()
	c, err := link.Dial(s.ns)
	s.must(err)
	defer c.Close()
	l, err := c.ByName(ifName)
	s.must(err)
	return l.Index
}

// reported waits until the Pod's network-status tells these interfaces.
func (s *sandbox) reported(want ...string) {
	s.Helper()
	var got []string
	for range 400 {
		var status []struct{ Interface string }
		s.must(json.Unmarshal([]byte(s.status(s, s.pod.String())), &status))
		got = got[:0]
		for _, e := range status {
			got = append(got, e.Interface)
		}
		if slices.Equal(got, want) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	s.Errorf("network-status has %v, want %v", got, want)
}

var podAddress = []string{"10.244.1.2/32", "fd00:244:0:1::2/128"}

func TestLiveAddAndRemove(t *testing.T) {
	n := newLiveNode(t)
	s := n.pod("web", "blue")
	s.add()
	s.reported("eth0", "net1")
	eth0, net1 := s.index("eth0"), s.index("net1")
	began := time.Now()
	s.wishes("blue, hub, blue@data")
	s.comes(map[string][]string{"eth0": podAddress, "net1": {"192.168.10.10/24", "fd00:10::1/64"}, "net2": {"10.9.0.1/24"}, "data": {"192.168.10.11/24", "fd00:10::2/64"}})
	if took := time.Since(began); took > time.Second {
		t.Errorf("it took %v, want at most a second", took)
	}
	s.reported("eth0", "net1", "net2", "data")
	n.told(t, "Normal default/web AddedInterface", "Add net2 [10.9.0.1/24] from default/hub")
	n.told(t, "Normal default/web AddedInterface", "Add data [192.168.10.11/24 fd00:10::2/64] from default/blue")
	s.ok("CHECK")

	s.wishes("hub") // the first is taken out: the second keeps its name
	s.comes(map[string][]string{"eth0": podAddress, "net2": {"10.9.0.1/24"}})
	s.reported("eth0", "net2")
	n.told(t, "Normal default/web RemovedInterface", "Remove net1 [192.168.10.10/24 fd00:10::1/64] from default/blue")
	s.ok("CHECK")
	if held := n.allocator.Held(); len(held) != 2 {
		t.Errorf("addresses are held: %+v", held)
	}
	s.wishes("hub,blue")
	s.reaches("hub,blue")
	if got := s.interfaces(); len(got) != 3 || len(got["net3"]) != 2 {
		t.Errorf("interfaces %v", got)
	}
	if s.index("eth0") != eth0 || net1 == 0 {
		t.Error("eth0 is another one now")
	}
	s.wishes("")
	s.comes(map[string][]string{"eth0": podAddress})
	s.reported("eth0")
	for _, e := range n.cluster.events {
		if strings.HasPrefix(e, "Warning") || strings.Contains(e, "eth0") {
			t.Error(e)
		}
	}
	s.ok("DEL")
	n.clean()
}

// An element that is changed is another interface; all others are not touched.
func TestLiveExchange(t *testing.T) {
	n := newLiveNode(t)
	s := n.pod("web", `[{"name":"blue","ips":["192.168.10.50"]},{"name":"hub","interface":"data"}]`)
	s.add()
	before := map[string]int{"eth0": s.index("eth0"), "net1": s.index("net1"), "data": s.index("data")}
	for i, c := range []struct {
		annotation string
		want       map[string][]string
	}{
		{`[{"name":"blue","ips":["192.168.10.51"]},{"name":"hub","interface":"data"}]`, map[string][]string{"net1": {"192.168.10.51/24"}, "data": {"10.9.0.1/24"}}},
		{`[{"name":"blue","ips":["192.168.10.51"],"mac":"02:00:5e:10:00:01"},{"name":"hub","interface":"data"}]`, map[string][]string{"net1": {"192.168.10.51/24"}, "data": {"10.9.0.1/24"}}},
		{`[{"name":"hub","interface":"net1"},{"name":"hub","interface":"data"}]`, map[string][]string{"net1": {"10.9.0.2/24"}, "data": {"10.9.0.1/24"}}},
		{`[{"name":"blue","interface":"data","ips":["192.168.10.51"]}]`, map[string][]string{"data": {"192.168.10.51/24"}}},
	} {
		s.wishes(c.annotation)
		c.want["eth0"] = podAddress
		s.settled(c.want)
		if i < 3 && s.index("data") != before["data"] {
			t.Errorf("%s: data is another one now", c.annotation)
		}
		if s.index("eth0") != before["eth0"] {
			t.Errorf("%s: eth0 is another one now", c.annotation)
		}
		s.ok("CHECK")
	}
	s.ok("DEL")
	n.clean()
}

// settled is comes for IPv4 alone.
func (s *sandbox) settled(want map[string][]string) {
	s.Helper()
	var diff string
	for range 400 {
		got := s.interfaces()
		for name, all := range got {
			got[name] = slices.DeleteFunc(all, func(a string) bool { return strings.HasPrefix(a, "fd00:10::") })
		}
		record, _ := s.server.records.get(s.id)
		if diff = cmp.Diff(want, got); diff == "" && record.Change == nil {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	s.Error(diff)
}

// What is refused is told with the words of an ADD, and leaves the Pod as it was.
func TestLiveRefused(t *testing.T) {
	n := newLiveNode(t)
	n.define("nouplink", `{"type":"macvlan","master":"up9"}`)
	n.define("dear", `{"type":"macvlan","master":"up1","ipam":{"type":"whereabouts","range":"192.168.77.0/30"}}`)
	other := n.pod("other", `[{"name":"blue","ips":["192.168.10.60"]},{"name":"dear"},{"name":"dear"}]`)
	if r := other.call("ADD"); r.code != 0 {
		other.pod.Networks = `[{"name":"blue","ips":["192.168.10.60"]}]`
		n.pods["default/other"] = other.pod
		other.add()
	}
	s := n.pod("web", `[{"name":"blue","ips":["192.168.10.50"]},{"name":"hub"}]`)
	s.add()
	s.reported("eth0", "net1", "net2")
	before, indexes := s.interfaces(), []int{s.index("eth0"), s.index("net1"), s.index("net2")}
	for _, c := range []struct {
		annotation string
		touched    bool // the interface was exchanged and is back
		words      []string
	}{
		{`[{"name":"blue","ips":["192.168.10.50"]},{"name":"hub"},{"name":"nosuch"}]`, false, []string{"UnknownNetwork", "nosuch"}},
		{`[{"name":"blue","ips":["192.168.10.50"]},{"name":"hub"},{"name":"nouplink"}]`, false, []string{"NoUplink", "up9"}},
		{`[{"name":"blue","ips":["192.168.10.60"]},{"name":"hub"}]`, false, []string{"AddressTaken", "192.168.10.60", "default/other"}},
		{`[{"name":"hub"},{"name":"blue","ips":["192.168.10.60"]}]`, false, []string{"AddressTaken", "192.168.10.60"}},
		{`[{"name":"nouplink","interface":"net1"}]`, true, []string{"NoUplink", "up9"}},
		{`[{"name":"blue","ips":["192.168.10.50"]},{"name":"hub"},{"name":"hub","default-route":["10.9.0.254"]}]`, false, []string{"LiveChangeRefused", "default route"}},
		{`[{"name":"blue","nmae":"x"}]`, false, []string{"Warning", "nmae"}},
		{`[{"name":"blue"`, false, []string{"BadNetworkSelection", "line 1"}},
	} {
		n.mu.Lock()
		n.events = nil
		n.mu.Unlock()
		s.wishes(c.annotation)
		n.told(t, append(c.words, "Warning default/web")...)
		s.rests()
		if diff := cmp.Diff(before, s.interfaces()); diff != "" {
			t.Errorf("%s: %s", c.annotation, diff)
		}
		now := []int{s.index("eth0"), s.index("net1"), s.index("net2")}
		if !c.touched && !slices.Equal(now, indexes) {
			t.Errorf("%s: the interfaces are others now", c.annotation)
		}
		if now[0] != indexes[0] {
			t.Errorf("%s: eth0 is another now", c.annotation)
		}
		indexes = now
		s.ok("CHECK")
		s.reported("eth0", "net1", "net2")
	}
	// What was refused is tried again by itself.
	s.wishes(`[{"name":"blue","ips":["192.168.10.60"]},{"name":"hub"}]`)
	n.told(t, "AddressTaken", "192.168.10.60")
	other.ok("DEL")
	s.settled(map[string][]string{"eth0": s.interfaces()["eth0"], "net1": {"192.168.10.60/24"}, "net2": before["net2"]})
	s.ok("DEL")
	n.clean()
}

// Without the label nothing happens, and the Pod is told once; with it the edit is carried out.
func TestLiveIsOptIn(t *testing.T) {
	n := newLiveNode(t)
	n.edit(func() { n.live["default"] = false })
	s := n.pod("web", "blue")
	s.add()
	count := func() (all int) {
		n.mu.Lock()
		defer n.mu.Unlock()
		for _, e := range n.events {
			if strings.Contains(e, "LiveChangeOff") {
				all++
			}
		}
		return all
	}
	s.wishes("blue,hub")
	n.told(t, "Warning default/web LiveChangeOff", "tsunagu.dev/network-changes=live", "namespace default")
	n.stop()
	n.boot() // another agent does not say it again
	for range 5 {
		n.edit(func() {})
		time.Sleep(30 * time.Millisecond)
	}
	s.rests()
	if got := count(); got != 1 || len(s.interfaces()) != 2 {
		t.Errorf("told %d times, interfaces %v", got, s.interfaces())
	}
	s.wishes(" blue ") // says the same as what there is
	s.reaches(" blue ")
	n.edit(func() { n.live["default"] = true })
	s.wishes("blue,hub")
	s.comes(map[string][]string{"eth0": podAddress, "net1": {"192.168.10.10/24", "fd00:10::1/64"}, "net2": {"10.9.0.1/24"}})
	n.edit(func() { n.live["default"] = false })
	s.rests()
	if len(s.interfaces()) != 3 {
		t.Errorf("interfaces %v", s.interfaces())
	}
	s.ok("DEL")
	n.clean()
}

// Edits in quick succession end in what the last one says.
func TestLiveEditsCollapse(t *testing.T) {
	n := newLiveNode(t)
	s := n.pod("web", "")
	s.add()
	for i := range 40 {
		s.wishes([]string{"blue", "blue,hub", "hub", "hub,hub,hub"}[i%4])
		time.Sleep(time.Duration(i%5) * 4 * time.Millisecond)
	}
	s.wishes("hub@last")
	s.reaches("hub@last")
	last := s.interfaces()
	if len(last) != 2 || len(last["last"]) != 1 {
		t.Errorf("interfaces %v", last)
	}
	s.reported("eth0", "last")
	s.ok("CHECK")
	s.ok("DEL")
	n.clean()
}

// A Pod that is deleted while it changes leaves nothing, and one of the same name does not get what the former asked for last.
func TestLiveAndDelete(t *testing.T) {
	n := newLiveNode(t)
	for i := range 12 {
		s := n.pod("web", "blue")
		s.add()
		s.wishes("hub,blue@data,hub@net1")
		time.Sleep(collect + time.Duration(i)*time.Millisecond)
		s.ok("DEL")
		if left := s.interfaces(); len(left) > 0 {
			t.Fatalf("left in the sandbox: %v", left)
		}
		again := n.pod("web", "blue")
		again.add()
		time.Sleep(2 * time.Millisecond)
		again.rests()
		if got := again.interfaces(); len(got) != 2 || len(got["net1"]) != 2 {
			t.Errorf("the next Pod of the name has %v", got)
		}
		again.ok("DEL")
		n.clean()
	}
}

// A namespace that has gone, a Pod whose interface was taken by hand, an interface of the Pod's own: none of them keeps a Pod from changing,
// and nothing that is not ours is touched.
func TestLiveOddities(t *testing.T) {
	n := newLiveNode(t)
	s := n.pod("web", "blue,hub")
	s.add()
	c, err := link.Dial(s.ns)
	n.must(err)
	defer c.Close()
	n.must(c.Apply(link.NewVeth(link.End{Name: "mine"}, link.End{Name: "mine2"})))
	s.wishes("blue,hub,hub@mine")
	n.told(t, "InterfaceNameConflict", "not made")
	l, err := c.ByName("net1")
	n.must(err)
	n.must(c.Apply(link.DeleteIndex("net1", l.Index)))
	s.wishes("hub")
	s.reaches("hub")
	if got := s.interfaces(); len(got) != 4 || got["mine"] == nil || len(got["net2"]) != 1 {
		t.Errorf("interfaces %v", got)
	}
	s.ok("CHECK")
	s.ok("DEL")
	n.clean()

	gone := n.pod("gone", "blue")
	gone.add()
	gone.ns.Close()
	n.must(netns.Delete(gone.id))
	gone.wishes("blue,hub")
	time.Sleep(4 * collect)
	gone.ok("DEL")
	_, err = netns.Create(gone.id) // the clean-up wants it
	n.must(err)
	n.clean()
}

// The addresses of claims stay with the Pod of a StatefulSet when its interface is exchanged.
func TestLiveSticky(t *testing.T) {
	n := newLiveNode(t)
	n.define("pooled", `{"type":"macvlan","master":"up1","ipam":{"type":"tsunagu","pools":["shared"]}}`)
	n.pools["shared"] = ipam.Pool{Name: "shared", Domain: "shared", Prefix: netip.MustParsePrefix("192.168.30.0/24")}
	s := n.pod("db-0", "pooled")
	s.edit(func() {
		p := s.pods["default/db-0"]
		p.Owner = Controller{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "db", UID: "set"}
		s.pods["default/db-0"] = p
	})
	s.add()
	had := s.interfaces()["net1"]
	s.wishes(`[{"name":"pooled","mac":"02:00:5e:10:00:07"}]`)
	for range 300 {
		record, _ := n.server.records.get(s.id)
		if len(record.Interfaces) == 2 && record.Interfaces[1].MAC == "02:00:5e:10:00:07" && record.Change == nil {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	if now := s.interfaces()["net1"]; !slices.Equal(now, had) {
		t.Errorf("it had %v, and has %v", had, now)
	}
	s.wishes("")
	s.settled(map[string][]string{"eth0": podAddress})
	s.wishes("pooled")
	s.settled(map[string][]string{"eth0": podAddress, "net1": had})
	if a, err := netip.ParsePrefix(had[0]); err != nil || a.Bits() != 24 {
		t.Error(fmt.Sprint(had), err)
	}
	s.ok("DEL")
	n.clean()
}

// What kubelet and the definition say of a network besides its element is no edit of it: its interface stays when another one comes.
func TestLiveLeavesWhatItWasGiven(t *testing.T) {
	n := newLiveNode(t)
	n.define("fixed", `{"type":"macvlan","master":"up1","ipam":{"type":"static"},"args":{"cni":{"ips":["10.20.0.5/24"]}}}`)
	n.definitions["default/card"] = Definition{Namespace: "default", Name: "card", Resource: "rdma/hca", Config: `{"type":"macvlan","master":"up1"}`}
	s := n.pod("web", "fixed,card")
	devices := given{s.pod.UID + " rdma/hca": {"hca7"}}
	n.server.planner.devices, n.server.Devices = devices, devices
	s.add()
	fixed, card := s.index("net1"), s.index("net2")
	s.wishes("fixed,card,hub")
	s.settled(map[string][]string{"eth0": podAddress, "net1": {"10.20.0.5/24"}, "net2": {}, "net3": {"10.9.0.1/24"}})
	if s.index("net1") != fixed || s.index("net2") != card {
		t.Errorf("interfaces %d and %d were made anew: %d, %d", fixed, card, s.index("net1"), s.index("net2"))
	}
	s.ok("DEL")
	n.clean()
}
