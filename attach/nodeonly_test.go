package attach

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tsunagu-net/tsunagu/attach/kind"
)

// Type host-local, told so, gives addresses of this node's own count, in a domain of the network's own, and gives them again after a restart.
func TestHostLocal(t *testing.T) {
	n := newNode(t)
	conf := filepath.Join(t.TempDir(), "resolv.conf")
	n.must(os.WriteFile(conf, []byte("nameserver 10.9.0.2\n"), 0o600))
	n.define("red", `{"name":"red","type":"macvlan","master":"up1","ipam":{"type":"host-local","resolvConf":"`+conf+`","ranges":[[{"subnet":"10.9.0.0/24","rangeStart":"10.9.0.200","rangeEnd":"10.9.0.246"}],[{"subnet":"fd00:9::/64"}]],"routes":[{"dst":"10.8.0.0/16"}]}}`)
	n.define("other", `{"type":"macvlan","master":"up1","ipam":{"type":"host-local","subnet":"10.9.0.0/24"}}`)
	for name, d := range n.definitions {
		d.Count = CountNode
		n.definitions[name] = d
	}
	a, b := n.pod("a", "red"), n.pod("b", `[{"name":"red","ips":["10.9.0.201"]},{"name":"other"}]`)
	a.add()
	b.add()
	if diff := cmp.Diff([]string{"10.9.0.200/24", "fd00:9::2/64"}, a.interfaces()["net1"]); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"10.9.0.201/24", "fd00:9::3/64"}, b.interfaces()["net1"]); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"10.9.0.2/24"}, b.interfaces()["net2"]); diff != "" {
		t.Error(diff)
	}
	if s := n.status(t, "default/a"); !strings.Contains(s, `"nameservers": [`) || !strings.Contains(s, "10.9.0.2") {
		t.Error(s)
	}
	if _, blocks, _ := n.store.Objects(); len(blocks) > 0 {
		t.Errorf("blocks were leased for it: %+v", blocks)
	}
	for _, c := range []struct{ ips, reason, says string }{
		{"10.9.0.199", "AddressOutOfRange", "10.9.0.200-10.9.0.246"},
		{"10.9.0.200", "AddressTaken", "default/a"},
	} {
		s := n.pod("refused", `[{"name":"red","ips":["`+c.ips+`"]}]`)
		if e := s.call("ADD").failure(t); !strings.Contains(e.Details, c.reason) || !strings.Contains(e.Msg, c.says) {
			t.Errorf("%s: %+v", c.ips, e)
		}
		n.told(t, "Warning", c.reason, c.says, "To fix")
	}
	n.stop()
	n.boot()
	c := n.pod("c", "red")
	c.add()
	if got := c.interfaces()["net1"][0]; got == "10.9.0.200/24" || got == "10.9.0.201/24" {
		t.Errorf("%s is given twice", got)
	}
	for _, s := range []*sandbox{a, b, c} {
		s.ok("DEL")
	}
	n.clean()
}

// On a segment that nodes may share, the same configuration leases blocks.
func TestHostLocalInTheCluster(t *testing.T) {
	n := newNode(t)
	n.definitions["default/red"] = Definition{Namespace: "default", Name: "red",
		Config: `{"name":"red","type":"macvlan","master":"up1","ipam":{"type":"host-local","subnet":"10.9.0.0/24"}}`}
	s := n.pod("a", "red")
	s.add()
	if diff := cmp.Diff([]string{"10.9.0.2/24"}, s.interfaces()["net1"]); diff != "" {
		t.Error(diff)
	}
	if _, blocks, _ := n.store.Objects(); len(blocks) == 0 || blocks[0].Domain != "red" {
		t.Errorf("blocks: %+v", blocks)
	}
	s.ok("DEL")
}

// elsewhere is a fake of the Pods of other nodes.
type elsewhere struct {
	mu    sync.Mutex
	asked []string
	Neighbour
}

func (e *elsewhere) Other(_ context.Context, network string, ips []string) (Neighbour, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked = append(e.asked, network+" "+strings.Join(ips, " "))
	return e.Neighbour, nil
}

func (e *elsewhere) heard() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.asked)
}

// Who uses host-local on several nodes is told so, and it is looked for once a minute and not for every Pod.
func TestNodesThatCountForThemselvesAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, e := newCluster(), &elsewhere{Neighbour: Neighbour{Pod: "default/twin", Same: "10.9.0.2"}}
		s := &Server{Config: Config{Events: c, Elsewhere: e}}
		s.reports = newReports(s)
		s.nodeOnly = &nodeOnly{server: s, asked: map[string]time.Time{}}
		net, err := ParseDefinition(Definition{Namespace: "default", Name: "red", Config: `{"type":"bridge","ipam":{"type":"host-local","subnet":"10.9.0.0/24"}}`})
		if err != nil {
			t.Fatal(err)
		}
		record := Record{Namespace: "default", Pod: "web", Interfaces: []kind.Wired{{}, {Addresses: []kind.Address{{Prefix: netip.MustParsePrefix("10.9.0.2/24")}}}}}
		plan := []planned{{}, {net: net}}
		for range 3 {
			s.nodeOnly.wired(record, plan)
			time.Sleep(lookAfter + time.Second)
		}
		if asked := e.heard(); len(asked) != 1 || asked[0] != "default/red 10.9.0.2" {
			t.Errorf("asked: %q", asked)
		}
		c.told(t, "Warning default/web AddressesCountedPerNode", "default/red", "default/twin has the address 10.9.0.2 too", "tsunagu.dev/host-local=cluster")
		time.Sleep(lookRest)
		s.nodeOnly.wired(record, plan)
		time.Sleep(lookAfter + time.Second)
		if asked := e.heard(); len(asked) != 2 {
			t.Errorf("asked: %q", asked)
		}
		s.reports.stop()
	})
}
