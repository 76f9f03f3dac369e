package attach

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// told is a difference as short text: the interfaces in order, what is made, what goes.
func (d difference) told() string {
	names := func(all []Selection) string {
		var words []string
		for _, s := range all {
			words = append(words, s.Name+"@"+s.IfName)
		}
		return strings.Join(words, " ")
	}
	return fmt.Sprintf("%s; make %s; gone %s", names(d.All), names(d.Make), strings.Join(d.Gone, " "))
}

func selectionsOf(t interface{ Fatal(...any) }, annotation string) []Selection {
	all, err := ParseSelections(annotation, "ns")
	if err != nil {
		t.Fatal(annotation, err)
	}
	return all
}

func askedOf(all []Selection) map[string]string {
	asked := map[string]string{}
	for _, s := range all {
		asked[s.IfName] = s.element()
	}
	return asked
}

func TestCompare(t *testing.T) {
	for _, c := range []struct{ before, after, want string }{
		{"", "", "; make ; gone "},
		{"a,b", "a,b", "a@net1 b@net2; make ; gone "},
		{"a", "a,b", "a@net1 b@net2; make b@net2; gone "},
		{"a,b", "b", "b@net2; make ; gone net1"},
		{"a,b", "", "; make ; gone net1 net2"},
		{"a,b", "b,a", "b@net2 a@net1; make ; gone "},
		{"a,b", "b,c", "b@net2 c@net3; make c@net3; gone net1"},
		{"a,b", "c,b", "c@net1 b@net2; make c@net1; gone net1"},
		{"a,b", "c,a", "c@net2 a@net1; make c@net2; gone net2"},
		{"a,a", "a", "a@net1; make ; gone net2"},
		{"a", "a,a", "a@net1 a@net2; make a@net2; gone "},
		{"a", "a@net1", "a@net1; make ; gone "},
		{"a@x", "a", "a@net1; make a@net1; gone x"},
		{"a@x,b", "b", "b@net2; make ; gone x"},
		{"a,b", "b,c@net2", "b@net1 c@net2; make b@net1 c@net2; gone net1 net2"},
		{"a@x", "b@x", "b@x; make b@x; gone x"},
		{`[{"name":"a","ips":["10.0.0.1"]}]`, `[{"ips":["10.0.0.1"],"name":"a","namespace":"ns"}]`, "a@net1; make ; gone "},
		{`[{"name":"a","ips":["10.0.0.1"]}]`, `[{"name":"a","ips":["10.0.0.2"]}]`, "a@net1; make a@net1; gone net1"},
		{`[{"name":"a","cni-args":{"x":1}}]`, `[{"name":"a","cni-args":{"x":2}},{"name":"b"}]`, "a@net1 b@net2; make a@net1 b@net2; gone net1"},
	} {
		d := compare(askedOf(selectionsOf(t, c.before)), selectionsOf(t, c.after))
		if got := d.told(); got != c.want {
			t.Errorf("%s → %s: %s, want %s", c.before, c.after, got, c.want)
		}
		for _, s := range d.Make {
			if d.exchanged(s.IfName) != slices.Contains(d.Gone, s.IfName) {
				t.Errorf("%s → %s: %s exchanged?", c.before, c.after, s.IfName)
			}
		}
	}
}

// Whatever is asked for one after the other: what is there in the end is what is asked for, each once and under names of their own, nothing
// that stays is touched, and saying it again changes nothing.
func TestCompareConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		have := map[string]string{}
		for range rapid.IntRange(1, 5).Draw(t, "edits") {
			want, err := ParseSelections(rapid.StringMatching(`([abc](@(x|net[1-4]))?(,[abc](@(x|net[1-4]))?){0,4})?`).Draw(t, "annotation"), "ns")
			if err != nil {
				continue // two of one name
			}
			d := compare(have, want)
			for _, name := range d.Gone {
				delete(have, name)
			}
			for _, s := range d.Make {
				if _, taken := have[s.IfName]; taken {
					t.Fatalf("%s is there already: %s", s.IfName, d.told())
				}
				have[s.IfName] = s.element()
			}
			if len(have) != len(want) {
				t.Fatalf("%d interfaces for %d elements: %s", len(have), len(want), d.told())
			}
			for i, s := range d.All {
				if s.Name != want[i].Name || !s.is(have[s.IfName]) || !s.Auto && s.IfName != want[i].IfName {
					t.Fatalf("element %d: %s", i, d.told())
				}
				again, err := selectionOf(have[s.IfName], s.IfName)
				if err != nil || !s.is(again.element()) {
					t.Fatal(again, err)
				}
			}
			if again := compare(have, want); !again.none() {
				t.Fatalf("said again: %s", again.told())
			}
		}
	})
}
