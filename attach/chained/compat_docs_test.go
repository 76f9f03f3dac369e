package chained

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
	const begin, end = "<!-- chained: made by go test ./attach/chained -run TestCompatibilityPage -update -->\n", "<!-- end of chained -->"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(page), begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no place for the chained plugins", path)
	}
	want := before + begin + compatTable() + end + after
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != string(page) {
		t.Errorf("%s is not what the tests say; write it anew: go test ./attach/chained -run TestCompatibilityPage -update", path)
	}
}

func compatTable() string {
	var out strings.Builder
	for _, name := range Names() {
		fmt.Fprintf(&out, "\n### %s\n\n| option | configuration | here | held against |\n|---|---|---|---|\n", name)
		for _, r := range compatRows() {
			if r.Plugin != name {
				continue
			}
			fmt.Fprintf(&out, "| %s | `%s` | %s | %s |\n", r.Option, strings.ReplaceAll(r.Config, "|", `\|`), r.result(), r.against())
		}
	}
	return out.String() + "\n"
}

func (r compatRow) result() (text string) {
	switch r.Want {
	case "works":
		text = "works"
	case "plugin":
		return "the node's plugin is executed"
	default:
		text = "refused: " + strings.ReplaceAll(r.Want, "|", `\|`)
	}
	if r.needs != "" {
		text += "; needs " + r.needs + " in the kernel, else refused"
	}
	return text
}

// against is what the outcome is compared with.
func (r compatRow) against() string {
	switch {
	case r.Want == "plugin":
		return "how it is read"
	case r.Want != "works":
		return "its words, and that nothing is left"
	case r.newer:
		return "CNI plugins " + reference.Version + ", object by object"
	}
	return "CNI plugins 1.1.1 and " + reference.Version + ", object by object"
}
