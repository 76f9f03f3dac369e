package attach

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// street is a network "lan" with pools on the node's uplink, and a stranger at the other end.
type street struct {
	*node
	outside *netns.Namespace
	wire    link.Link
}

func newStreet(t *testing.T, pools ...ipam.Pool) *street {
	t.Helper()
	s := &street{node: newNode(t)}
	var err error
	s.outside, err = netns.Open(netns.Dir + "/" + s.name + "-out")
	s.must(err)
	t.Cleanup(func() { s.outside.Close() })
	s.wire = s.link(s.outside, "wire")
	s.apply(s.outside, link.Up("wire", s.wire.Index))
	s.network("lan", pools...)
	return s
}

// network defines a macvlan network.
func (s *street) network(name string, pools ...ipam.Pool) {
	var names []string
	for _, p := range pools {
		s.pools[p.Name] = p
		names = append(names, fmt.Sprintf("%q", p.Name))
	}
	s.definitions["default/"+name] = Definition{Namespace: "default", Name: name,
		Config: fmt.Sprintf(`{"cniVersion":"1.0.0","type":"macvlan","master":"up1","ipam":{"type":"tsunagu","pools":[%s]}}`, strings.Join(names, ","))}
}

func (s *street) apply(in *netns.Namespace, ops ...link.Op) {
	s.Helper()
	c, err := link.Dial(in)
	s.must(err)
	defer c.Close()
	s.must(c.Apply(ops...))
}

func (s *street) link(in *netns.Namespace, name string) link.Link {
	s.Helper()
	c, err := link.Dial(in)
	s.must(err)
	defer c.Close()
	l, err := c.ByName(name)
	s.must(err)
	return l
}

// stranger gives the outside addresses. They answer at once: nobody checks them for duplicates.
func (s *street) stranger(addresses ...string) {
	s.Helper()
	for _, a := range addresses {
		s.apply(s.outside, link.AddAddress("wire", s.wire.Index, netip.MustParsePrefix(a), link.AddressOptions{}))
	}
}

func (s *street) lonely(addresses ...string) {
	s.Helper()
	for _, a := range addresses {
		s.apply(s.outside, link.DeleteAddress("wire", s.wire.Index, netip.MustParsePrefix(a)))
	}
}

// quarantined are the addresses of the objects in quarantine, once there are n.
func (s *street) quarantined(n int) (all []string) {
	s.Helper()
	for range 400 {
		all = nil
		_, _, bound := s.store.Objects()
		for _, x := range bound {
			if x.Quarantine != nil {
				if x.Quarantine.MAC != s.wire.MAC.String() {
					s.Errorf("%s is in quarantine for %s, want %s", x.Address, x.Quarantine.MAC, s.wire.MAC)
				}
				all = append(all, x.Address.String())
			}
		}
		if len(all) >= n {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	slices.Sort(all)
	return all
}

func lanPool(cidr string) ipam.Pool {
	return ipam.Pool{Name: "lan-" + cidr, Domain: "lan", Prefix: netip.MustParsePrefix(cidr)}
}

// P21: a stranger has the address that would be given: it is kept from everybody, the next one is given, and the Pod is told whose it
// is. IPv4 and IPv6 alike.
func TestP21StrangersAddressIsAvoided(t *testing.T) {
	s := newStreet(t, lanPool("192.168.10.0/24"), lanPool("fd00:10::/120"))
	s.stranger("192.168.10.1/24", "fd00:10::1/64", "192.168.10.2/24")
	p := s.pod("web", "lan")
	p.add()
	if got := p.interfaces()["net1"]; !slices.Equal(got, []string{"192.168.10.3/24", "fd00:10::2/120"}) {
		t.Errorf("the Pod has %v", got)
	}
	for _, x := range []string{"192.168.10.1", "fd00:10::1", "192.168.10.2"} {
		s.told(t, "Warning default/web AddressConflict", x+" ", "net1", "macvlan/up1", s.wire.MAC.String())
	}
	if got := s.quarantined(3); !slices.Equal(got, []string{"192.168.10.1", "192.168.10.2", "fd00:10::1"}) {
		t.Errorf("in quarantine are %v", got)
	}
	other := s.pod("db", "lan")
	other.add()
	if got := other.interfaces()["net1"]; !slices.Equal(got, []string{"192.168.10.4/24", "fd00:10::3/120"}) {
		t.Errorf("the next Pod has %v", got)
	}
	p.ok("DEL")
	other.ok("DEL")
	s.clean()
}

// P21: an address that was asked for is refused with the stranger's MAC, and given as soon as the stranger is gone.
func TestP21StrangersStaticAddressIsRefused(t *testing.T) {
	s := newStreet(t, lanPool("192.168.10.0/24"), lanPool("fd00:10::/120"))
	for _, c := range []struct{ address, has string }{{"192.168.10.7", "192.168.10.7/24"}, {"fd00:10::7", "fd00:10::7/64"}} {
		s.stranger(c.has)
		p := s.pod("web", fmt.Sprintf(`[{"name":"lan","ips":[%q]}]`, c.address))
		e := p.call("ADD").failure(t)
		if !strings.Contains(e.Msg, c.address) || !strings.Contains(e.Msg, s.wire.MAC.String()) || !strings.HasPrefix(e.Details, "AddressConflict") || e.Code != 11 {
			t.Errorf("refused with %+v", e)
		}
		s.told(t, "Warning default/web AddressConflict", c.address+" ", "net1", s.wire.MAC.String())
		if left := p.interfaces(); len(left) > 0 {
			t.Errorf("left in the Pod: %v", left)
		}
		s.lonely(c.has)
		p.add()
		if got := p.interfaces()["net1"]; !slices.ContainsFunc(got, func(a string) bool { return strings.HasPrefix(a, c.address+"/") }) {
			t.Errorf("the Pod has %v", got)
		}
		p.ok("DEL")
	}
	if got := s.quarantined(0); len(got) > 0 {
		t.Errorf("in quarantine are %v", got)
	}
	s.clean()
}

// Type static has no pool: such an address is refused too.
func TestStrangersFixedAddressIsRefused(t *testing.T) {
	s := newStreet(t)
	s.definitions["default/fixed"] = Definition{Namespace: "default", Name: "fixed",
		Config: `{"cniVersion":"1.0.0","type":"macvlan","master":"up1","ipam":{"type":"static","addresses":[{"address":"192.168.10.7/24"}]}}`}
	s.stranger("192.168.10.7/24")
	p := s.pod("web", "fixed")
	if e := p.call("ADD").failure(t); !strings.HasPrefix(e.Details, "AddressConflict") {
		t.Errorf("refused with %+v", e)
	}
	p.ok("DEL")
	s.clean()
}

// A pool may say that nobody is to be asked.
func TestUnprobedPool(t *testing.T) {
	pool := lanPool("192.168.10.0/24")
	pool.Unprobed = true
	s := newStreet(t, pool)
	s.stranger("192.168.10.1/24")
	p := s.pod("web", "lan")
	p.add()
	if got := p.interfaces()["net1"]; !slices.Equal(got, []string{"192.168.10.1/24"}) {
		t.Errorf("the Pod has %v", got)
	}
	p.ok("DEL")
}

// More strangers than one ADD can turn from: it is refused, and the next one goes on from there.
func TestManyStrangers(t *testing.T) {
	s := newStreet(t, lanPool("192.168.10.0/27"))
	for i := range mostEvasions + 3 {
		s.stranger(fmt.Sprintf("192.168.10.%d/24", i+1))
	}
	p := s.pod("web", "lan")
	if e := p.call("ADD").failure(t); !strings.HasPrefix(e.Details, "AddressConflict") || e.Code != 11 {
		t.Errorf("refused with %+v", e)
	}
	p.add()
	if got := p.interfaces()["net1"]; !slices.Equal(got, []string{fmt.Sprintf("192.168.10.%d/27", mostEvasions+4)}) {
		t.Errorf("the Pod has %v", got)
	}
	p.ok("DEL")
	s.clean()
}

// settled waits for the questions that are asked beside the ADDs.
func (s *street) settled() { s.server.ahead.tasks.Wait() }

// What is next is asked for ahead: later Pods do not wait, and do not meet the strangers that were found.
func TestNextAddressesAreAskedForAhead(t *testing.T) {
	s := newStreet(t, lanPool("192.168.10.0/24"), lanPool("fd00:10::/120"))
	s.stranger("192.168.10.3/24")
	first := s.pod("first", "lan")
	began := time.Now()
	first.add()
	if took := time.Since(began); took < 50*time.Millisecond {
		t.Errorf("the first Pod was attached after %v, without an answer", took)
	}
	s.settled()
	if got := s.quarantined(1); !slices.Equal(got, []string{"192.168.10.3"}) {
		t.Errorf("in quarantine are %v", got)
	}
	var took []time.Duration
	var pods []*sandbox
	for i := range 8 {
		p := s.pod(fmt.Sprint("later-", i), "lan")
		took = append(took, func() time.Duration { began := time.Now(); p.add(); return time.Since(began) }())
		pods = append(pods, p)
		s.settled()
	}
	if got := pods[1].interfaces()["net1"][0]; got != "192.168.10.4/24" {
		t.Errorf("the third Pod has %s", got)
	}
	slices.Sort(took)
	t.Logf("ADDs took %v", took)
	if took[0] >= 50*time.Millisecond {
		t.Errorf("all of the later Pods waited: %v", took)
	}
	for _, e := range s.events {
		if strings.Contains(e, "AddressConflict") {
			t.Errorf("event %q", e)
		}
	}
	// What a Pod has just given back is free.
	pods[0].ok("DEL")
	if x := netip.MustParseAddr("192.168.10.2"); !s.server.verdicts.fresh(place{"macvlan/up1", x}) {
		t.Errorf("%s is not believed to be free", x)
	}
}

// A stranger who comes between the answer and the Pod is told.
func TestLateStranger(t *testing.T) {
	s := newStreet(t, lanPool("192.168.10.0/24"))
	s.pod("first", "lan").add()
	s.settled()
	s.stranger("192.168.10.2/24")
	second := s.pod("second", "lan")
	second.add()
	s.told(t, "Warning default/second AddressConflict", "192.168.10.2", "has come to use", s.wire.MAC.String())
	s.settled()
	second.ok("DEL")
	if got := s.quarantined(1); !slices.Equal(got, []string{"192.168.10.2"}) {
		t.Errorf("in quarantine are %v", got)
	}
	third := s.pod("third", "lan")
	third.add()
	if got := third.interfaces()["net1"]; !slices.Equal(got, []string{"192.168.10.3/24"}) {
		t.Errorf("the next Pod has %v", got)
	}
}

// The kernel answers for all addresses of a Pod at each of its interfaces: two on one segment are no strangers to each other.
func TestOtherInterfaceOfThePodIsNoStranger(t *testing.T) {
	s := newStreet(t, lanPool("192.168.10.0/24"))
	s.network("lane", lanPool("192.168.20.0/24"))
	s.pod("first", "lan,lane").add()
	s.settled() // the next addresses are known to be free now, so they are asked for after they were given
	s.pod("second", "lan,lane").add()
	s.settled()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		if strings.Contains(e, "AddressConflict") {
			t.Errorf("event %q", e)
		}
	}
}

// Many Pods at the same time ask for each other's next addresses, and are no strangers to each other.
func TestOwnPodsAreNoStrangers(t *testing.T) {
	s := newStreet(t, lanPool("192.168.10.0/24"), lanPool("fd00:10::/120"))
	done := make(chan reply)
	for round := range 3 {
		var pods []*sandbox
		for i := range 12 {
			pods = append(pods, s.pod(fmt.Sprintf("p-%d-%d", round, i), "lan"))
		}
		for _, p := range pods {
			go func() { done <- p.call("ADD") }()
		}
		for range pods {
			if r := <-done; r.code != 0 {
				t.Error(r.output)
			}
		}
		for _, p := range pods {
			go func() { done <- p.call("DEL") }()
		}
		for range pods {
			<-done
		}
	}
	s.settled()
	for _, e := range s.events {
		if strings.Contains(e, "AddressConflict") {
			t.Errorf("event %q", e)
		}
	}
	if got := s.quarantined(0); len(got) > 0 {
		t.Errorf("in quarantine are %v", got)
	}
	s.clean()
}

func TestGatewayCheck(t *testing.T) {
	warn, require := lanPool("192.168.10.0/24"), lanPool("192.168.20.0/24")
	warn.GatewayCheck, warn.Gateway = v1alpha1.GatewayWarn, netip.MustParseAddr("192.168.10.254")
	require.GatewayCheck, require.Gateway = v1alpha1.GatewayRequire, netip.MustParseAddr("192.168.20.254")
	s := newStreet(t, warn)
	s.network("strict", require)
	p := s.pod("web", "lan")
	p.add()
	s.told(t, "Warning default/web GatewaySilent", "192.168.10.254", "net1")
	q := s.pod("db", "strict")
	if e := q.call("ADD").failure(t); !strings.HasPrefix(e.Details, "GatewaySilent") || !strings.Contains(e.Msg, "192.168.20.254") {
		t.Errorf("refused with %+v", e)
	}
	s.told(t, "Warning default/db GatewaySilent", "192.168.20.254")
	s.stranger("192.168.20.254/24")
	q.add()
	p.ok("DEL")
	q.ok("DEL")
	s.clean()
}
