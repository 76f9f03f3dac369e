package attach

import (
	"bytes"
	"encoding/json"
	goflag "flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = goflag.Bool("update", false, "write docs/compatibility.md instead of comparing")

// Each row of the page is carried out on a node of its own.
func TestMultusContract(t *testing.T) {
	for _, r := range multusRows {
		t.Run(r.Part+"/"+r.Option, func(t *testing.T) {
			n := newNode(t)
			namespace := "default"
			if r.Namespace != "" {
				namespace = r.Namespace
			}
			n.definitions[namespace+"/net"] = Definition{Namespace: namespace, Name: "net", Config: r.Config}
			if r.File != "" {
				n.must(os.MkdirAll(n.dir+"/net.d", 0o755))
				n.must(os.WriteFile(n.dir+"/net.d/10-net.conf", []byte(r.File), 0o600))
			}
			s := n.pod("web", r.Annotation)
			if r.Want != "" {
				if e := s.call("ADD").failure(t); !strings.Contains(e.Msg, r.Want) {
					t.Errorf("refused with %q, want %q", e.Msg, r.Want)
				}
				if have := s.interfaces(); len(have) > 0 {
					t.Errorf("left in the Pod: %v", have)
				}
				n.clean()
				return
			}
			s.add()
			var status bytes.Buffer
			n.must(json.Compact(&status, []byte(n.status(t, "default/web"))))
			if seen := fmt.Sprint(s.interfaces(), status.String()); !strings.Contains(seen, r.Shows) {
				t.Errorf("no %s in %s", r.Shows, seen)
			}
			s.ok("CHECK")
			s.ok("DEL")
			n.clean()
		})
	}
}

// The page is made of the rows that the test runs, so it cannot say something else.
func TestCompatibilityPage(t *testing.T) {
	const path = "../docs/compatibility.md"
	const begin, end = "<!-- multus: made by go test ./attach -run TestCompatibilityPage -update -->\n", "<!-- end of multus -->"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(page), begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no place for the Multus contract", path)
	}
	want := before + begin + multusTable() + end + after
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != string(page) {
		t.Errorf("%s is not what the tests say; write it anew: go test ./attach -run TestCompatibilityPage -update", path)
	}
}

func multusTable() string {
	var out strings.Builder
	part := ""
	for _, r := range multusRows {
		if part != r.Part {
			part = r.Part
			fmt.Fprintf(&out, "\n### Multus: %s\n\n| option | annotation | definition | here |\n|---|---|---|---|\n", part)
		}
		config, result := r.Config, "works: `"+r.Shows+"`"
		if config == "" {
			config = r.File
		}
		if r.Want != "" {
			result = "refused: " + r.Want
		}
		fmt.Fprintf(&out, "| %s | `%s` | `%s` | %s |\n", r.Option, r.Annotation, config, result)
	}
	return out.String() + "\n"
}
