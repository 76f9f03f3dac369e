package tsunagu_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// renamed are reasons of a room below that the room above tells by its own
// word.
var renamed = map[string]string{"InvalidConfig": "BadNetworkConfig"}

// Every reason that the code can give is in docs/errors.md, and no other.
func TestReasonsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([A-Z][A-Za-z]+)` \\|").FindAllStringSubmatch(string(page), -1) {
		documented[m[1]] = true
	}
	given := map[string]string{}
	set := token.NewFileSet()
	files(t, func(name string, content []byte) {
		if !in(name, "attach", "ipam") || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return
		}
		file, err := parser.ParseFile(set, name, content, 0)
		if err != nil {
			t.Errorf("parsing %s: %v", name, err)
			return
		}
		for _, reason := range reasonsIn(file, name == "ipam/refusal.go") {
			if other, ok := renamed[reason]; ok {
				reason = other
			}
			given[reason] = name
		}
	})
	for reason, name := range given {
		if !documented[reason] {
			t.Errorf("%s gives reason %s, which docs/errors.md does not explain", name, reason)
		}
	}
	for reason := range documented {
		if given[reason] == "" {
			t.Errorf("docs/errors.md explains reason %s, which nobody gives", reason)
		}
	}
}

// reasonsIn finds constants named Reason…, methods Reason() that return a
// text, and fields Reason of a literal; all constants of a file of reasons.
func reasonsIn(file *ast.File, allConstants bool) []string {
	var found []string
	add := func(e ast.Expr) {
		if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if text, err := strconv.Unquote(lit.Value); err == nil && text != "" {
				found = append(found, text)
			}
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GenDecl:
			if n.Tok != token.CONST {
				return true
			}
			for _, spec := range n.Specs {
				v := spec.(*ast.ValueSpec)
				for i, name := range v.Names {
					if i < len(v.Values) && (allConstants || strings.HasPrefix(name.Name, "Reason")) {
						add(v.Values[i])
					}
				}
			}
		case *ast.FuncDecl:
			if n.Recv == nil || n.Name.Name != "Reason" || n.Body == nil {
				return true
			}
			for _, s := range n.Body.List {
				if r, ok := s.(*ast.ReturnStmt); ok && len(r.Results) == 1 {
					add(r.Results[0])
				}
			}
		case *ast.KeyValueExpr:
			if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Reason" {
				add(n.Value)
			}
		}
		return true
	})
	return found
}

// Links between pages lead somewhere.
func TestLinksLead(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	fence := regexp.MustCompile("(?s)```.*?```")
	files(t, func(name string, content []byte) {
		if !strings.HasSuffix(name, ".md") {
			return
		}
		for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(string(content), ""), -1) {
			target, _, _ := strings.Cut(m[1], "#")
			if target == "" || strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			if _, err := os.Stat(filepath.FromSlash(path.Join(path.Dir(name), target))); err != nil {
				t.Errorf("%s links to %s, which is not there", name, m[1])
			}
		}
	})
}
