package kind

import (
	goflag "flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/tsunagu-net/tsunagu/attach/reference"
)

var update = goflag.Bool("update", false, "write docs/compatibility.md instead of comparing")

// The page of what works is made of the rows that the tests run, so it cannot say something else.
func TestCompatibilityPage(t *testing.T) {
	const path = "../../docs/compatibility.md"
	const begin, end = "<!-- kinds: made by go test ./attach/kind -run TestCompatibilityPage -update -->\n", "<!-- end of kinds -->"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(page), begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no place for the kinds", path)
	}
	want := before + begin + compatTable() + end + after
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != string(page) {
		t.Errorf("%s is not what the tests say; write it anew: go test ./attach/kind -run TestCompatibilityPage -update", path)
	}
}

func compatTable() string {
	var out strings.Builder
	plugin := ""
	for _, name := range compatPlugins() {
		for _, r := range compatRows {
			if r.Plugin != name {
				continue
			}
			if plugin != name {
				plugin = name
				fmt.Fprintf(&out, "\n### %s\n\n| option | configuration | here | held against |\n|---|---|---|---|\n", name)
			}
			result := "works"
			if r.Want != "works" {
				result = "refused: " + strings.ReplaceAll(r.Want, "|", `\|`)
			}
			if r.needs != "" {
				result += "; needs " + r.needs + " in the kernel, else refused"
			}
			fmt.Fprintf(&out, "| %s | `%s` | %s | %s |\n", r.Option, strings.ReplaceAll(r.Config, "|", `\|`), result, r.against())
		}
	}
	return out.String() + "\n"
}

// compatPlugins are the plugins in the order of their first rows.
func compatPlugins() (names []string) {
	seen := map[string]bool{}
	for _, r := range compatRows {
		if !seen[r.Plugin] {
			seen[r.Plugin] = true
			names = append(names, r.Plugin)
		}
	}
	return names
}

// against is what the outcome is compared with.
func (r compatRow) against() string {
	switch {
	case r.ovs, r.Plugin == "ovs":
		return "a real Open vSwitch"
	case r.driver != "":
		return "messages to the kernel"
	case r.Want != "works":
		return "its words, and that nothing is left"
	case r.newer:
		return "CNI plugins " + reference.Version + ", object by object"
	}
	return "CNI plugins 1.1.1 and " + reference.Version + ", object by object"
}
