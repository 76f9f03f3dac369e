package oracle_test

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/ipam/iptest/oracle"
)

// slow finds the moments at which two interfaces have one address by looking
// at every moment at which something begins.
func slow(uses []oracle.Use) map[[2]int]bool {
	out := map[[2]int]bool{}
	has := func(u oracle.Use, t time.Time) bool {
		return !t.Before(u.Begin) && (u.End.IsZero() || t.Before(u.End))
	}
	for _, moment := range uses {
		t := moment.Begin
		for i, x := range uses {
			for j, y := range uses[:i] {
				if x.Domain != y.Domain || x.Address != y.Address || !has(x, t) || !has(y, t) {
					continue
				}
				if x.ContainerID != y.ContainerID || x.IfName != y.IfName {
					out[[2]int{j, i}] = true
				}
			}
		}
	}
	return out
}

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func drawUses(t *rapid.T) []oracle.Use {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) oracle.Use {
		begin := rapid.IntRange(0, 30).Draw(t, "begin")
		u := oracle.Use{
			Domain:  rapid.SampledFrom([]string{"blue", "red"}).Draw(t, "domain"),
			Address: netip.AddrFrom4([4]byte{10, 0, 0, byte(rapid.IntRange(1, 3).Draw(t, "address"))}),
			Holder:  oracle.Holder{ContainerID: rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "sandbox"), IfName: rapid.SampledFrom([]string{"net1", "net2"}).Draw(t, "interface")},
			Begin:   start.Add(time.Duration(begin) * time.Second),
		}
		if n := rapid.IntRange(-1, 10).Draw(t, "length"); n > 0 {
			u.End = u.Begin.Add(time.Duration(n) * time.Second)
		}
		return u
	}), 0, 14).Draw(t, "uses")
}

func TestDuplicatesAreThoseOfTheSlowOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		uses := drawUses(t)
		want := slow(uses)
		// Find the uses again by what nobody else has.
		for i := range uses {
			uses[i].Node = string(rune('A' + i))
		}
		got := map[[2]int]bool{}
		for _, d := range oracle.Duplicates(uses) {
			i, j := int(d.One.Node[0]-'A'), int(d.Other.Node[0]-'A')
			got[[2]int{min(i, j), max(i, j)}] = true
			if !d.To.IsZero() && !d.From.Before(d.To) {
				t.Errorf("a duplicate that does not last: %v", d)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("pairs (-slow +fast):\n%s", diff)
		}
	})
}

func use(address, sandbox string, begin, end int) oracle.Use {
	u := oracle.Use{Domain: "blue", Address: netip.MustParseAddr(address), Holder: oracle.Holder{Node: "n1", ContainerID: sandbox, IfName: "net1"}, Begin: start.Add(time.Duration(begin) * time.Second)}
	if end > 0 {
		u.End = start.Add(time.Duration(end) * time.Second)
	}
	return u
}

func TestMigrationMayShareByTwo(t *testing.T) {
	pair := []oracle.Use{use("10.0.0.1", "a", 0, 9), use("10.0.0.1", "b", 5, 0), use("10.0.0.1", "c", 20, 0)}
	for i := range pair {
		pair[i].Migration = "vm-1"
	}
	if got := oracle.Duplicates(pair); len(got) != 0 {
		t.Errorf("two of one migration, then a second migration: %v", got)
	}
	pair[2].Begin = pair[1].Begin
	if got := oracle.Duplicates(pair); len(got) == 0 {
		t.Error("three holders of one migration are fine?")
	}
	pair = pair[:2]
	pair[0].Migration = "vm-2"
	if got := oracle.Duplicates(pair); len(got) != 1 || !strings.Contains(got[0].String(), "10.0.0.1") {
		t.Errorf("two migrations share an address: %v", got)
	}
}

func TestHistory(t *testing.T) {
	var h oracle.History
	x := netip.MustParseAddr("10.0.0.1")
	a, b := oracle.Holder{ContainerID: "a", IfName: "net1"}, oracle.Holder{ContainerID: "b", IfName: "net1"}
	h.Begin("blue", x, a)
	h.Begin("blue", x, a) // the ADD was repeated
	h.Begin("red", x, b)  // another domain
	h.End("blue", x, a)
	h.Begin("blue", x, b)
	if d := h.Duplicates(); len(d) != 0 || len(h.Uses()) != 3 || len(h.Live()) != 2 {
		t.Errorf("duplicates %v of %v", d, h.Uses())
	}
	h.End("blue", x, a) // late, and not its address any more
	h.Begin("blue", x, a)
	if d := h.Duplicates(); len(d) != 1 {
		t.Errorf("duplicates %v of %v", d, h.Uses())
	}
	h.EndAll(func(u oracle.Use) bool { return u.ContainerID == "b" })
	if live := h.Live(); len(live) != 1 || live[0].ContainerID != "a" {
		t.Errorf("live: %v", live)
	}
}

func TestWriteAndRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		uses := drawUses(t)
		var file bytes.Buffer
		for _, u := range uses {
			if err := oracle.Write(&file, u); err != nil {
				t.Fatal(err)
			}
		}
		got, err := oracle.Read(&file)
		if diff := cmp.Diff(uses, got, cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{})); diff != "" || err != nil {
			t.Errorf("%v, %s", err, diff)
		}
	})
	if _, err := oracle.Read(strings.NewReader("{}\n{")); err == nil {
		t.Error("a torn line is read")
	}
}

func TestSettled(t *testing.T) {
	live := []oracle.Use{use("10.0.0.1", "a", 0, 0), use("10.0.0.2", "b", 0, 0)}
	anonymous := use("10.0.0.2", "", 0, 0)
	for name, c := range map[string]struct {
		allocated []oracle.Use
		want      []string
	}{
		"all is well":                   {[]oracle.Use{live[0], anonymous}, nil},
		"allocated and not used":        {append(slices.Clone(live), use("10.0.0.3", "c", 0, 0)), []string{"10.0.0.3 is allocated"}},
		"used and not allocated":        {live[:1], []string{"10.0.0.2 is used"}},
		"allocated to somebody else":    {[]oracle.Use{live[0], use("10.0.0.2", "x", 0, 0)}, []string{"10.0.0.2 is allocated", "10.0.0.2 is used"}},
		"anonymous, but another node's": {[]oracle.Use{live[0], {Domain: "blue", Address: anonymous.Address, Holder: oracle.Holder{Node: "n2"}}}, []string{"10.0.0.2 is allocated", "10.0.0.2 is used"}},
	} {
		got := oracle.Settled(c.allocated, live)
		if len(got) != len(c.want) {
			t.Errorf("%s: %v", name, got)
			continue
		}
		for i, l := range got {
			if !strings.Contains(l.String(), c.want[i]) {
				t.Errorf("%s: %v, want %q", name, l, c.want[i])
			}
		}
	}
}

func TestAllocated(t *testing.T) {
	blocks := []ipam.Block{{Domain: "blue", Prefix: netip.MustParsePrefix("10.0.0.8/29"), Node: "n1", NodeUID: "u1", Used: 0b10000101}}
	addresses := []ipam.Address{
		{Domain: "blue", Address: netip.MustParseAddr("10.0.0.10"), Node: "n2", NodeUID: "u2", Owner: ipam.Owner{Key: ipam.Key{ContainerID: "c", IfName: "net1"}}},
		{Domain: "blue", Address: netip.MustParseAddr("10.0.0.11"), Reserved: "printer"},
		{Domain: "blue", Address: netip.MustParseAddr("10.0.0.12"), Claim: ipam.ClaimRef{Name: "web-0"}},
	}
	var got []string
	for _, u := range oracle.Allocated(blocks, addresses) {
		got = append(got, u.Address.String()+" "+u.Node+" "+u.ContainerID)
	}
	if diff := cmp.Diff([]string{"10.0.0.10 n2 c", "10.0.0.8 n1 ", "10.0.0.15 n1 "}, got); diff != "" {
		t.Error(diff)
	}
}
