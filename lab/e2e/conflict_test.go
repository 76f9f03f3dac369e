package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/lab/drive"
)

// stranger gives the host outside, which tsunagu does not know, addresses on segment up1 and tells its MAC.
func stranger(t *testing.T, prefixes ...string) (mac string) {
	t.Helper()
	for _, p := range prefixes {
		_, err := lab.Exec(within(t, 20*time.Second), "outside", "ip", "address", "add", p, "dev", "up1", "nodad")
		must(t, err)
		t.Cleanup(func() { leave(t, p) })
	}
	out, err := lab.Exec(within(t, 20*time.Second), "outside", "ip", "-j", "link", "show", "dev", "up1")
	must(t, err)
	var links []struct{ Address string }
	must(t, json.Unmarshal([]byte(out), &links))
	return links[0].Address
}

// leave takes an address of the host outside away; one that is gone is fine.
func leave(t *testing.T, prefix string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if _, err := lab.Exec(ctx, "outside", "ip", "address", "del", prefix, "dev", "up1"); err != nil && !strings.Contains(err.Error(), "not found") {
		t.Errorf("taking %s from the host outside: %v", prefix, err)
	}
}

// quarantined are the addresses of a domain that strangers were found on, with the strangers' MACs.
func quarantined(ctx context.Context, domain string) (map[string]string, error) {
	var list struct {
		Items []struct {
			Spec struct {
				Address    string
				Quarantine *struct{ MAC string }
			}
		}
	}
	if err := lab.Get(ctx, &list, "ipaddresses.tsunagu.dev", "-l", "tsunagu.dev/domain="+domain); err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, o := range list.Items {
		if o.Spec.Quarantine != nil {
			found[o.Spec.Address] = o.Spec.Quarantine.MAC
		}
	}
	return found, nil
}

// A host that nobody told tsunagu of has most of a small range, in both families: Pods on two nodes get what it has not, its
// addresses are in quarantine with its MAC, an Event says so, and who asks for one of them gets it once the host has gone.
func TestStrangersOnTheSegment(t *testing.T) {
	ns := room(t, "e2e-stranger")
	network(t, "e2e-stranger", ns, macvlan("up1", "192.168.95.0/28")+"\n- cidr: 'fd00:95::/124'")
	var taken []string
	for i := range 6 {
		taken = append(taken, fmt.Sprintf("192.168.95.%d/28", i+1), fmt.Sprintf("fd00:95::%d/124", i+1))
	}
	mac := stranger(t, taken...)
	has := func(a string) bool {
		return slices.ContainsFunc(taken, func(p string) bool { return netip.MustParsePrefix(p).Addr().String() == a })
	}
	one, two := create(t, ns, "one", "node1", "e2e-stranger"), create(t, ns, "two", "node2", "e2e-stranger")
	for _, v6 := range []bool{false, true} {
		a, b := address(t, one, ns+"/e2e-stranger", v6), address(t, two, ns+"/e2e-stranger", v6)
		if has(a) || has(b) || a == b {
			t.Errorf("the Pods have %s and %s", a, b)
		}
		ping(t, one, "net1", b)
		ping(t, two, "net1", a)
	}
	found, err := quarantined(within(t, 20*time.Second), "e2e-stranger")
	must(t, err)
	if len(found) == 0 {
		t.Error("no address is in quarantine")
	}
	for a, by := range found {
		if !has(a) || !strings.EqualFold(by, mac) {
			t.Errorf("%s is in quarantine for %s, the stranger is %s and has %v", a, by, mac, taken)
		}
	}
	t.Logf("in quarantine: %v", found)
	told, err := lab.Kubectl(within(t, 20*time.Second), "get", "events", "-n", ns, "--field-selector=type=Warning,reason=AddressConflict", "-o", "jsonpath={.items[*].message}")
	must(t, err)
	if !strings.Contains(strings.ToLower(told), mac) {
		t.Errorf("no Event names %s: %q", mac, told)
	}

	// Those that are in quarantine are asked for as well as one that nobody has run into.
	for name, asks := range map[string]string{"asks4": "192.168.95.2", "asks6": "fd00:95::6"} {
		must(t, lab.Apply(within(t, 20*time.Second), pod(ns, name, "node2", `[{"name":"e2e-stranger","ips":["`+asks+`"]}]`)))
		t.Log(warning(t, ns, name, 15*time.Second, asks, mac))
	}
	leave(t, "192.168.95.2/28")
	leave(t, "fd00:95::6/124")
	for _, name := range []string{"asks4", "asks6"} {
		_, err := lab.Ready(within(t, time.Minute), ns, "name="+name, 1)
		must(t, err)
	}
}

// The files in which agents keep what they gave out are deleted, and the agents killed, while Pods run: no address of theirs is given
// to another, they go on, and what they had is free when they are gone.
func TestJournalsAreDeleted(t *testing.T) {
	ns := room(t, "e2e-journal")
	network(t, "e2e-journal", ns, macvlan("up1", "192.168.96.0/28"))
	before := snapshot(t)
	var pods []drive.Pod
	for i := range 6 {
		pods = append(pods, create(t, ns, fmt.Sprint("old", i), nodes[i%2], "e2e-journal"))
	}
	for _, node := range nodes[:2] {
		_, err := lab.Exec(within(t, 20*time.Second), node, "sh", "-c", "rm /run/tsunagu/*.journal")
		must(t, err)
		n, err := lab.Kill(node, "tsunagu-agent")
		if must(t, err); n == 0 {
			t.Fatalf("no agent was killed on %s", node)
		}
	}
	for i := range 6 {
		pods = append(pods, create(t, ns, fmt.Sprint("new", i), nodes[i%2], "e2e-journal"))
	}
	if twice := drive.Duplicates(pods); len(twice) > 0 {
		t.Fatalf("addresses held twice: %v", twice)
	}
	for i := range 6 {
		ping(t, pods[i], "net1", address(t, pods[(i+7)%12], ns+"/e2e-journal", false))
	}
	// The next agents have logs that are whole for themselves. What they sweep, they sweep within 20 s.
	for _, node := range nodes[:2] {
		_, err := lab.Kill(node, "tsunagu-agent")
		must(t, err)
	}
	time.Sleep(25 * time.Second)
	for i := range 6 {
		ping(t, pods[i], "eth0", address(t, pods[(i+7)%12], "", false))
	}
	_, err := lab.Kubectl(within(t, time.Minute), "delete", "pod", "-n", ns, "--all")
	must(t, err)
	settles(t, before)
}
