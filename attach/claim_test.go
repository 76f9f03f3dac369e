package attach

import (
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/attach/kind"
	"github.com/tsunagu-net/tsunagu/ipam"
)

func plannedOn(pools ...ipam.Pool) planned {
	p := planned{sel: Selection{Index: 1, Namespace: "default", Name: "blue", IfName: "net1"}, net: Network{Ref: "default/blue", Spec: kind.Bridge{}}}
	for _, pool := range pools {
		p.wants = append(p.wants, ipam.Want{Pool: pool})
	}
	return p
}

func TestPodsOfAStatefulSetHaveClaims(t *testing.T) {
	blue := ipam.Pool{Name: "blue", Domain: "d", Prefix: netip.MustParsePrefix("10.1.2.0/24")}
	pod := Pod{Namespace: "default", Name: "web-0", UID: "p", Owner: Controller{"apps/v1", "StatefulSet", "web", "u1"}}
	p := plannedOn(blue, blue)
	if err := p.claim(pod); err != nil {
		t.Fatal(err)
	}
	c := p.wants[0].Claim
	if c == nil || c != p.wants[1].Claim || c.Make == nil || c.Namespace != "default" || !strings.HasPrefix(c.Name, "web-0-blue-net1-") {
		t.Fatalf("claim %+v", c)
	}
	if m := *c.Make; m.Name != c.Name || m.Network != "default/blue" || m.Interface != "net1" || m.Pod != "web-0" || !m.Made || m.Holder != (ipam.Holder{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "web", UID: "u1"}) {
		t.Errorf("made %+v", m)
	}
	again := plannedOn(blue)
	pod.UID = "another life"
	if err := again.claim(pod); err != nil || again.wants[0].Claim.Name != c.Name {
		t.Errorf("the next Pod of the name has claim %v, %v", again.wants[0].Claim, err)
	}

	forever, claimed, local := blue, blue, blue
	forever.Retention, claimed.OnlyClaimed, local.Local = v1alpha1.RetainForever, true, true
	p = plannedOn(forever)
	if err := p.claim(pod); err != nil || p.wants[0].Claim.Make.Holder != (ipam.Holder{}) || p.wants[0].Claim.Make.Retention != "Forever" {
		t.Errorf("kept for ever: %+v, %v", p.wants[0].Claim, err)
	}
	for name, pool := range map[string]ipam.Pool{"claimed": claimed, "local": local} {
		p = plannedOn(pool)
		if err := p.claim(pod); err != nil || p.wants[0].Claim != nil {
			t.Errorf("%s: %+v, %v", name, p.wants[0].Claim, err)
		}
	}
	for _, owner := range []Controller{{}, {"apps/v1", "ReplicaSet", "web", "u1"}, {"example.org/v1", "StatefulSet", "web", "u1"}} {
		p, pod.Owner = plannedOn(blue), owner
		if err := p.claim(pod); err != nil || p.wants[0].Claim != nil {
			t.Errorf("owner %v: %+v, %v", owner, p.wants[0].Claim, err)
		}
	}
	p = plannedOn(claimed)
	p.sel.Claim = "vm"
	if err := p.claim(pod); err != nil || p.wants[0].Claim.Name != "vm" || p.wants[0].Claim.Make != nil {
		t.Errorf("by hand: %+v, %v", p.wants[0].Claim, err)
	}
	p = plannedOn(local)
	p.sel.Claim = "vm"
	if err := p.claim(pod); err == nil || refused(err).Reason != ReasonUnsupportedField {
		t.Errorf("a claim of the pod network's addresses: %v", err)
	}
}

func TestClaimNames(t *testing.T) {
	if got := claimName("web-0", "default/blue", "net1"); got != "web-0-blue-net1-"+got[len(got)-10:] {
		t.Errorf("got %s", got)
	}
	seen := map[string][3]string{}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-z0-9]([-.a-z0-9]{0,40}[a-z0-9])?`)
		of := [3]string{name.Draw(t, "pod"), name.Draw(t, "ns") + "/" + name.Draw(t, "network"), rapid.StringMatching(`[A-Za-z0-9_.-]{1,15}`).Draw(t, "ifName")}
		got := claimName(of[0], of[1], of[2])
		if len(got) > 63 || !definitionName.MatchString(got) || strings.Contains(got, ".") {
			t.Fatalf("%q names %q", got, of)
		}
		if other, ok := seen[got]; ok && other != of {
			t.Fatalf("%q names %q and %q", got, of, other)
		}
		seen[got] = of
	})
}

func TestAPodOfAStatefulSetComesBackAsItWas(t *testing.T) {
	n := newNode(t)
	n.define("blue", blue)
	member := func() *sandbox {
		s := n.pod("web-0", "blue")
		s.pod.Owner = Controller{"apps/v1", "StatefulSet", "web", "u1"}
		n.mu.Lock()
		n.pods[s.pod.String()] = s.pod
		n.mu.Unlock()
		return s
	}
	look := func(s *sandbox) (string, string) {
		r := s.add()
		w, _ := n.server.records.get(s.id)
		return w.Interfaces[1].MAC + " " + r.IPs[0].Address, strings.Join(s.interfaces()["net1"], " ")
	}
	one := member()
	mac, ips := look(one)
	if ips == "" {
		t.Fatal("no addresses")
	}
	one.ok("DEL")
	n.pod("other", "blue").add() // takes what is free
	two := member()
	again, same := look(two)
	if same != ips || strings.Fields(again)[0] != strings.Fields(mac)[0] {
		t.Errorf("it came back with %s, %s; it was %s, %s", again, same, mac, ips)
	}
	// The same Pod's sandbox anew, while the old one is still there: the address is not taken from it.
	three := n.sandbox(two.pod)
	if e := three.call("ADD").failure(t); e.Code != 11 || !strings.Contains(e.Msg, "still in use by the former sandbox of this Pod") {
		t.Errorf("failed with %+v", e)
	}
	two.ok("DEL")
	if _, same = look(three); same != ips {
		t.Errorf("the next sandbox has %s, it was %s", same, ips)
	}
}

func TestClaimsThatDoNotExistHaveNearNames(t *testing.T) {
	n := newNode(t)
	n.define("blue", blue)
	s := n.pod("web", `[{"name":"blue","ipam-claim-reference":"web-wm"}]`)
	e := s.call("ADD").failure(t)
	if e.Code != 11 || !strings.Contains(e.Msg, "there is no IPClaim default/web-wm") || !strings.Contains(e.Msg, "near names: web-vm") {
		t.Errorf("failed with %+v", e)
	}
	n.told(t, "Warning default/web UnknownClaim")
	s.ok("DEL")
	n.clean()
}
