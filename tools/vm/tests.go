package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// tag is the build constraint of a file whose tests exist inside only.
const tag = "vm"

// suite is one package and what is to run of it.
type suite struct {
	path  string // import path
	dir   string
	tests []string // functions behind the tag that must pass; nil with -whole
	bench []string
	whole bool
	// binary is its test program, once compiled; empty when there is no test.
	binary string
}

// discover looks through the test files of the packages for the build tag, so
// that nobody keeps a list: a test that was written is a test that runs.
func discover(ctx context.Context, root string, o options, patterns []string) ([]suite, error) {
	if len(patterns) == 0 {
		patterns = []string{"./..."}
	}
	match, err := regexp.Compile(o.match)
	if err != nil {
		return nil, err
	}
	bench, err := regexp.Compile(o.bench)
	if err != nil {
		return nil, err
	}
	out, err := command(ctx, root, "go", append([]string{"list", "-tags", tag, "-json=ImportPath,Dir,TestGoFiles,XTestGoFiles"}, patterns...)...)
	if err != nil {
		return nil, err
	}
	var suites []suite
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath, Dir           string
			TestGoFiles, XTestGoFiles []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return suites, nil
		} else if err != nil {
			return nil, err
		}
		s := suite{path: p.ImportPath, dir: p.Dir, whole: o.whole}
		for _, name := range slices.Concat(p.TestGoFiles, p.XTestGoFiles) {
			tests, benchmarks, err := behindTag(filepath.Join(p.Dir, name))
			if err != nil {
				return nil, err
			}
			s.tests, s.bench = append(s.tests, tests...), append(s.bench, benchmarks...)
		}
		if o.bench != "" {
			s.tests, s.whole = nil, false
			s.bench = slices.DeleteFunc(s.bench, func(n string) bool { return !bench.MatchString(n) })
		} else {
			s.bench = nil
			s.tests = slices.DeleteFunc(s.tests, func(n string) bool { return !match.MatchString(n) })
		}
		if s.whole || len(s.tests)+len(s.bench) > 0 {
			suites = append(suites, s)
		}
	}
}

// behindTag lists the tests and benchmarks of a file that exists only with the tag.
func behindTag(file string) (tests, benchmarks []string, err error) {
	source, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, err
	}
	f, err := parser.ParseFile(token.NewFileSet(), file, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, nil, err
	}
	if !tagged(f) {
		return nil, nil, nil
	}
	for _, d := range f.Decls {
		fn, is := d.(*ast.FuncDecl)
		if !is || fn.Recv != nil {
			continue
		}
		switch name := fn.Name.Name; {
		case name == "TestMain":
		case strings.HasPrefix(name, "Test"):
			tests = append(tests, name)
		case strings.HasPrefix(name, "Benchmark"):
			benchmarks = append(benchmarks, name)
		}
	}
	return tests, benchmarks, nil
}

// tagged tells whether a file is left out of a build without the tag.
func tagged(f *ast.File) bool {
	for _, group := range f.Comments {
		if group.Pos() > f.Package {
			return false
		}
		for _, c := range group.List {
			if !constraint.IsGoBuild(c.Text) {
				continue
			}
			x, err := constraint.Parse(c.Text)
			yes := func(string) bool { return true }
			return err == nil && x.Eval(yes) && !x.Eval(func(t string) bool { return t != tag })
		}
	}
	return false
}

// compile builds the test programs on this machine, into dir. The programs are
// static: what they run on inside is another kernel, not another libc.
func compile(ctx context.Context, root, dir string, suites []suite) error {
	for i := range suites {
		s := &suites[i]
		fmt.Printf("vm: %d/%d compile %s\n", i+1, len(suites), s.path)
		s.binary = filepath.Join(dir, fmt.Sprintf("%d.test", i))
		if _, err := command(ctx, root, "env", "CGO_ENABLED=0", "go", "test", "-c", "-tags", tag, "-o", s.binary, s.path); err != nil {
			return err
		}
		if _, err := os.Stat(s.binary); errors.Is(err, os.ErrNotExist) {
			s.binary = "" // go test -c leaves nothing where there is no test
		}
	}
	return nil
}
