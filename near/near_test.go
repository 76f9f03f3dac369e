package near

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestNames(t *testing.T) {
	have := []string{"blue", "blue-v6", "red", "backup", "storage", "red"}
	for want, first := range map[string]string{"bleu": "blue", "blu": "blue", "rde": "red", "stroage": "storage", "back-up": "backup", "Blue": "blue", "stor": "storage"} {
		if got := Names(want, have); len(got) == 0 || got[0] != first {
			t.Errorf("near %q: %v, want %s first", want, got, first)
		}
	}
	for _, want := range []string{"completely-different", "", "x"} {
		if got := Names(want, have); len(got) != 0 {
			t.Errorf("near %q: %v", want, got)
		}
	}
	if got := Names("re", have); !slices.Equal(got, []string{"red"}) {
		t.Errorf("got %v", got)
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"up1", "up1", 0}, {"up1", "up11", 1}, {"eth0", "up1", 4}, {"", "abc", 3}, {"kitten", "sitting", 3}, {"ab", "ba", 1}, {strings.Repeat("a", 65), "a", 65}} {
		if got := Distance(c.a, c.b); got != c.want {
			t.Errorf("%s, %s: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

// slow is the definition, letter by letter.
func slow(a, b string) int {
	switch {
	case a == "" || b == "":
		return len(a) + len(b)
	case a[0] == b[0]:
		return slow(a[1:], b[1:])
	}
	d := 1 + min(slow(a[1:], b), slow(a, b[1:]), slow(a[1:], b[1:]))
	if len(a) > 1 && len(b) > 1 && a[0] == b[1] && a[1] == b[0] {
		d = min(d, 1+slow(a[2:], b[2:]))
	}
	return d
}

func TestDistanceIsTheDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.StringMatching(`[abc]{0,6}`).Draw(t, "a"), rapid.StringMatching(`[abc]{0,6}`).Draw(t, "b")
		if got, want := Distance(a, b), slow(a, b); got != want || got != Distance(b, a) {
			t.Errorf("%q, %q: %d, want %d", a, b, got, want)
		}
	})
}
