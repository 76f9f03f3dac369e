package doctor

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/doctor.md instead of comparing")

// docs/doctor.md is made of the checks, so it cannot say something else.
func TestDocs(t *testing.T) {
	const path = "../docs/doctor.md"
	want := document()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != want {
		t.Errorf("%s is not what the checks say; write it anew: go generate ./doctor", path)
	}
}

func document() string {
	var out strings.Builder
	out.WriteString(`# What the doctor checks

<!-- Made by go generate ./doctor; change the checks in doctor/, not this page. -->

` + "`tsunagu doctor`" + ` reads a cluster once and makes these checks over what it read; ` + "`tsunagu doctor TSU1002`" + ` makes one of them,
` + "`tsunagu doctor --list`" + ` prints this page's text, ` + "`-o json`" + ` is for programs. A code never changes its meaning.

Each finding has a severity: **error** (something does not work, or two interfaces have one address), **warning** (it works, but not for
long or not everywhere), **info** (worth knowing). Exit codes are in [exit-codes.md](exit-codes.md). A finding that follows from another
stands below it and names it.

| code | finding |
|---|---|
`)
	for _, c := range Checks() {
		fmt.Fprintf(&out, "| [%s](#%s) | %s |\n", c.Code, strings.ToLower(c.Code), c.Title)
	}
	for _, c := range Checks() {
		parts := make([]string, len(c.Needs))
		for i, p := range c.Needs {
			parts[i] = string(p)
		}
		fmt.Fprintf(&out, "\n## %s\n\n**%s.** %s\n\nReads: %s.\n", c.Code, strings.ToUpper(c.Title[:1])+c.Title[1:], c.Explain, strings.Join(parts, ", "))
	}
	out.WriteString(fieldReports())
	return out.String()
}
