package iptables

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

func newFilter(t *testing.T, v6 bool) Filter {
	t.Helper()
	name := fmt.Sprintf("tst-iptables-%d-%t", os.Getpid(), v6)
	ns, err := netns.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ns.Close()
		if err := netns.Delete(name); err != nil {
			t.Error(err)
		}
	})
	return Filter{NS: ns, IPv6: v6}
}

// What is applied is read again as it was written, and a transaction with a mistake changes nothing.
func TestRulesAreOneTransaction(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		f, from := newFilter(t, v6), "192.0.2.7/32"
		if v6 {
			from = "2001:db8::7/128"
		}
		rule := "-A TST -s " + from + ` -m comment --comment "two words" -j ACCEPT`
		if err := f.Apply(t.Context(), "-N TST", rule); err != nil {
			t.Fatal(err)
		}
		rules, err := f.Rules(t.Context())
		if err != nil || !HasChain(rules, "TST") || !slices.Contains(rules, rule) || HasChain(rules, "TS") {
			t.Errorf("%q, %v", rules, err)
		}
		if err := f.Apply(t.Context(), "-D TST -s "+from+` -m comment --comment "two words" -j ACCEPT`, "-A NONE -j ACCEPT"); err == nil {
			t.Error("a chain that is not there was accepted")
		}
		if again, err := f.Rules(t.Context()); err != nil || !slices.Contains(again, rule) {
			t.Errorf("after a mistake %q, %v", again, err)
		}
	}
}

func TestNodeWithoutIPTables(t *testing.T) {
	_, err := Filter{Root: t.TempDir()}.Rules(t.Context())
	if _, ok := errors.AsType[Missing](err); !ok {
		t.Errorf("%v", err)
	}
}
