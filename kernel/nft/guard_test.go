package nft_test

import (
	"maps"
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/tsunagu-net/tsunagu/kernel/nft"
)

func TestGuard(t *testing.T) {
	ns := namespace(t, "guard")
	g := &nft.Guard{NS: ns}
	a, b := net.HardwareAddr{2, 0, 0, 0, 0, 1}, net.HardwareAddr{2, 0, 0, 0, 0, 2}
	allowed := func(want map[string]string) {
		t.Helper()
		got := map[string]string{}
		have, err := g.Allowed()
		if err != nil {
			t.Fatal(err)
		}
		for port, mac := range have {
			got[port] = mac.String()
		}
		if !maps.Equal(got, want) {
			t.Errorf("allowed %v, want %v", got, want)
		}
	}
	list := func() string {
		out, err := exec.Command("nsenter", "--net="+ns.Path(), "nft", "list", "ruleset").CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	allowed(map[string]string{})
	must(g.Forget("p1"))
	must(g.Allow("p1", a))
	must(g.Allow("tsu0123456789a", b))
	must(g.Allow("p1", a))
	must(g.Allow("p1", b))
	allowed(map[string]string{"p1": b.String(), "tsu0123456789a": b.String()})
	if text := list(); !strings.Contains(text, `iifname @ports iifname . ether saddr != @senders counter`) || strings.Count(text, "drop") != 1 {
		t.Errorf("rules are\n%s", text)
	}
	// Somebody takes the rule away: nothing is guarded, and the next one puts it back for all.
	if out, err := exec.Command("nsenter", "--net="+ns.Path(), "nft", "flush", "chain", "bridge", "tsunagu", "spoof-check").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	allowed(map[string]string{})
	must(g.Allow("p1", b))
	allowed(map[string]string{"p1": b.String(), "tsu0123456789a": b.String()})
	must(g.Forget("p1"))
	allowed(map[string]string{"tsu0123456789a": b.String()})
	must(g.Forget("tsu0123456789a", "p1"))
	if text := list(); text != "" {
		t.Errorf("left behind:\n%s", text)
	}
}
