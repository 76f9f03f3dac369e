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

// A node that was taken off the list while it was away asks to be taken in again; one that is taken off while it runs stays out.
func TestNodeThatWasTakenOff(t *testing.T) {
	old, err := NewMembers("a", "b", "c")
	if err != nil {
		t.Fatal(err)
	}
	without := Members{Version: Version{Epoch: 3, Count: 2}, In: []ID{"b", "c"}}
	for _, away := range []bool{true, false} {
		m, err := New(0, Config{Self: "a", Start: 1, Timing: Default, Kept: Kept{Members: old}, Health: Health{Weight: 1}})
		if err != nil {
			t.Fatal(err)
		}
		said := Message{Kind: Ask, From: Holder{ID: "b", Start: 7}, To: "a", Round: 1, Members: old}
		if !away {
			m.Receive(1, said)
		}
		said.Members = without
		o := m.Receive(2, said)
		hello := false
		for _, x := range o.Send {
			hello = hello || x.Kind == Hello && (x.To == "b" || x.To == "c")
		}
		if hello != away || m.Status(2).Joining != away {
			t.Errorf("taken off while it was away: %v; asks to be taken in: %v", away, hello)
		}
	}
}
