package bench

import (
	"strings"
	"testing"
)

// What nothing is measured for is said before anything is built.
func TestUnknownOptions(t *testing.T) {
	for _, c := range []struct{ args, says string }{
		{"-scenario bust", `-scenario "bust" is none of burst, shared,`},
		{"-only burst -scenario shared", "-scenario shared goes with -only ipam"},
		{"-only all", `-only "all" is none of`},
		{"-placements 0", "at least 1"},
		{"-side other", `-side "other" is neither`},
		{"-pairs 0", "at least 1"},
		{"more", `argument "more"`},
	} {
		if _, err := ParseOptions(strings.Fields(c.args)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %q", c.args, err, c.says)
		}
	}
	if _, err := ParseOptions([]string{"-only", "ipam", "-scenario", "flat"}); err != nil {
		t.Error(err)
	}
}
