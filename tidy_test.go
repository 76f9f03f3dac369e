package tsunagu_test

import (
	"bufio"
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Limits of a file, in lines and bytes. They are far above what is typical
// (100 lines): whoever meets one has two nouns in one file.
const (
	mostLines     = 500
	mostTestLines = 900
	mostBytes     = 400 << 10
)

// grabBags are package names that say nothing about what is inside.
var grabBags = []string{"util", "utils", "common", "helper", "helpers", "misc", "base", "shared", "lib", "types"}

// passed directories hold nothing that was written here.
var passed = []string{".git", ".lab", "bin", "dist", "node_modules"}

var generated = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)

// files walks the work tree.
func files(t *testing.T, visit func(path string, content []byte)) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains(passed, d.Name()) {
			return filepath.SkipDir
		}
		if !d.Type().IsRegular() {
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		visit(filepath.ToSlash(path), content)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func isText(content []byte) bool {
	return !bytes.Contains(content[:min(len(content), 8000)], []byte{0})
}

func TestFilesAreSmall(t *testing.T) {
	files(t, func(path string, content []byte) {
		if len(content) > mostBytes && !strings.Contains(path, "/testdata/") && !strings.HasSuffix(path, ".sum") {
			t.Errorf("%s has %d KiB: products of a build do not belong in the tree", path, len(content)>>10)
		}
		if !strings.HasSuffix(path, ".go") || generated.Match(content) {
			return
		}
		most := mostLines
		if strings.HasSuffix(path, "_test.go") {
			most = mostTestLines
		}
		if n := bytes.Count(content, []byte{'\n'}); n > most {
			t.Errorf("%s has %d lines, want at most %d: one noun a file", path, n, most)
		}
	})
}

// A path of the machine that something was written on works nowhere else.
func TestNoMachinePaths(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	personal := regexp.MustCompile(`/(home|Users)/[a-z][a-z0-9_-]*/|/root/go/`)
	files(t, func(path string, content []byte) {
		if !isText(content) || path == "tidy_test.go" {
			return
		}
		if strings.Count(here, "/") > 1 && bytes.Contains(content, []byte(here+"/")) {
			t.Errorf("%s names this work tree, %s", path, here)
		}
		if found := personal.Find(content); found != nil {
			t.Errorf("%s names a directory of somebody's machine, %s", path, found)
		}
	})
}

// syntax is what the tidiness tests look at in one directory.
type syntax struct {
	name   string
	doc    string
	source bool // has a file that is not a test
}

func TestPackages(t *testing.T) {
	set := token.NewFileSet()
	dirs := map[string]*syntax{}
	files(t, func(path string, content []byte) {
		if !strings.HasSuffix(path, ".go") || strings.Contains(path, "/testdata/") || generated.Match(content) {
			return
		}
		file, err := parser.ParseFile(set, path, content, parser.ParseComments)
		if err != nil {
			t.Errorf("parsing %s: %v", path, err)
			return
		}
		dir := filepath.Dir(path)
		if dirs[dir] == nil {
			dirs[dir] = &syntax{}
		}
		d := dirs[dir]
		if !strings.HasSuffix(path, "_test.go") {
			d.source, d.name = true, file.Name.Name
		}
		if file.Doc != nil && len(file.Doc.Text()) > len(d.doc) {
			d.doc = file.Doc.Text()
		}
		noInit(t, set, file)
		noReminders(t, path, content)
	})
	for dir, d := range dirs {
		if slices.Contains(grabBags, d.name) || slices.Contains(grabBags, filepath.Base(dir)) {
			t.Errorf("%s is a grab bag: name the package after what is in it", dir)
		}
		if lines := strings.Count(strings.TrimSpace(d.doc), "\n") + 1; d.source && lines < 2 {
			t.Errorf("%s: package %s needs a comment that says what it owns, what it does not know and where to start reading", dir, d.name)
		}
	}
}

// Nothing happens before main: order of initialisation is nobody's to know.
func noInit(t *testing.T, set *token.FileSet, file *ast.File) {
	for _, decl := range file.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
			t.Errorf("%s: func init runs before anybody decided anything: make it a constructor", set.Position(f.Pos()))
		}
	}
}

// A reminder in the code is an issue nobody sees.
func noReminders(t *testing.T, path string, content []byte) {
	reminder := regexp.MustCompile(`//.*\b(TO` + `DO|FIX` + `ME|X` + `XX)\b`)
	lines := bufio.NewScanner(bytes.NewReader(content))
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		if reminder.Match(lines.Bytes()) {
			t.Errorf("%s:%d: a reminder in a comment: write an issue, or do it", path, n)
		}
	}
}
