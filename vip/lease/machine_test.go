package lease

import (
	"strings"
	"testing"
	"time"
)

// alone is the first node of a cluster: nothing else runs.
func TestFirstNodeOwnsAtOnce(t *testing.T) {
	members, err := NewMembers("n1")
	if err != nil {
		t.Fatal(err)
	}
	now := Instant(7 * time.Hour)
	m, err := New(now, Config{Self: "n1", Start: 1, Timing: Default, Kept: Kept{Members: members}, Health: Health{Weight: 1, Ready: true}, First: true})
	if err != nil {
		t.Fatal(err)
	}
	o := m.Tick(now)
	for began := now; !o.Lease.Held; o = m.Tick(now) {
		now = o.Next
		if now.Sub(began) > Default.Beat {
			t.Fatalf("it does not own after %s", now.Sub(began))
		}
	}
	if left := o.Lease.Until.Sub(now); left <= 0 || left >= Default.Lease {
		t.Errorf("it owns for %s at once, want less than a lease of %s", left, Default.Lease)
	}
}

func TestBadConfig(t *testing.T) {
	good, err := NewMembers("a", "b", "c")
	if err != nil {
		t.Fatal(err)
	}
	for want, c := range map[string]Config{
		"needs a name":         {Timing: Default, Kept: Kept{Members: good}},
		"somebody who takes":   {Self: "a", Timing: Default},
		"at least three beats": {Self: "a", Timing: Timing{Beat: time.Second, Lease: time.Second}, Kept: Kept{Members: good}},
		"weight -1":            {Self: "a", Timing: Default, Kept: Kept{Members: good}, Health: Health{Weight: -1}},
	} {
		if _, err := New(0, c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q in it", c, err, want)
		}
	}
	for _, ids := range [][]ID{nil, {""}, {"a", "a"}} {
		if m, err := NewMembers(ids...); err == nil {
			t.Errorf("members %q are taken: %s", ids, m)
		}
	}
}

// A majority of a joint list is one of both lists.
func TestJointMajority(t *testing.T) {
	list := Members{In: []ID{"c", "d", "e"}, Out: []ID{"a", "b", "c"}}
	for _, c := range []struct {
		have string
		want Instant
		ok   bool
	}{
		{"a1 b2 c3 d4 e5", 2, true}, // c, d, e: 4 of two; a, b, c: 2 of two
		{"c3 d4 e5", 0, false},
		{"a9 c3 d4", 3, true},
		{"a1 b2", 0, false},
		{"", 0, false},
	} {
		have := map[ID]Instant{}
		for _, w := range strings.Fields(c.have) {
			have[ID(w[:1])] = Instant(w[1] - '0')
		}
		got, ok := list.agreed(func(id ID) (Instant, bool) { i, ok := have[id]; return i, ok })
		if ok != c.ok || ok && got != c.want {
			t.Errorf("%q: %d %v, want %d %v", c.have, got, ok, c.want, c.ok)
		}
	}
}
