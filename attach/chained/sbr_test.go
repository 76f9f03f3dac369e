package chained

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/tsunagu-net/tsunagu/attach/kind"
)

// TestSBRIsChecked takes away what sbr made, and looks at where the routes are said to be.
func TestSBRIsChecked(t *testing.T) {
	w := newWorld(t, v4, v6)
	wired, state := w.add(SBR{})
	if len(wired.Routes) != 2 || wired.Routes[0].Table != 100 || wired.Routes[1].Table != 101 {
		t.Errorf("the routes are %+v", wired.Routes)
	}
	ctx := context.Background()
	w.must(w.runner.Check(ctx, w.call, SBR{}, state))
	w.in(w.pod, "ip", "route", "del", "default", "table", "100")
	if m, ok := errors.AsType[kind.Mismatch](w.runner.Check(ctx, w.call, SBR{}, state)); !ok || !strings.Contains(m.What, "in table 100") {
		t.Errorf("without the route: %v", m)
	}
	w.in(w.pod, "ip", "-6", "rule", "del", "from", "fd00:7::2", "table", "101")
	if m, ok := errors.AsType[kind.Mismatch](w.runner.Check(ctx, w.call, SBR{}, state)); !ok || !strings.Contains(m.What, "rule from fd00:7::2/128 table 101") {
		t.Errorf("without the rule: %v", m)
	}
}

// TestSBRUndoes has the kernel refuse a part: the rule is there already, of somebody else.
func TestSBRUndoes(t *testing.T) {
	w := newWorld(t, v4, v6)
	w.in(w.pod, "ip", "-6", "rule", "add", "from", "fd00:7::2", "table", "77", "pref", "32765")
	w.in(w.pod, "ip", "rule", "add", "from", "10.7.0.2", "table", "77", "pref", "100")
	before := w.portrait()
	if _, _, err := w.runner.Add(context.Background(), w.call, SBR{Table: 77}); err != nil && len(differences(w.portrait(), before)) > 0 {
		t.Errorf("after %v it is not as before:\n%s", err, strings.Join(differences(w.portrait(), before), "\n"))
	}
}
