package scaleup

import (
	"os"
	"regexp"
	"slices"
	"testing"
)

// Every code is explained on its page, and the page has no other.
func TestDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/scale-up.md")
	must(t, err)
	source, err := os.ReadFile("problem.go")
	must(t, err)
	code := regexp.MustCompile(`TSU7[0-9]{3}`)
	in := func(text []byte) []string {
		all := code.FindAllString(string(text), -1)
		slices.Sort(all)
		return slices.Compact(all)
	}
	if have, want := in(page), in(source); !slices.Equal(have, want) {
		t.Errorf("the page has %v, the source %v", have, want)
	}
}
