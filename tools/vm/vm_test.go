package main

import (
	"errors"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestTagged(t *testing.T) {
	for line, want := range map[string]bool{
		"//go:build vm":            true,
		"//go:build vm && linux":   true,
		"//go:build linux":         false,
		"//go:build vm || linux":   false,
		"//go:build !vm":           false,
		"// an ordinary comment":   false,
		"/* c */\n\n//go:build vm": true,
	} {
		f, err := parser.ParseFile(token.NewFileSet(), "x.go", line+"\n\npackage x\n\n//go:build vm\n", parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if got := tagged(f); got != want {
			t.Errorf("%q: tagged %v, want %v", line, got, want)
		}
	}
}

// A test behind the tag has passed only when it says so.
func TestVerdict(t *testing.T) {
	suites := []suite{{path: "p", tests: []string{"TestA", "TestB"}}}
	for name, c := range map[string]struct{ output, wrong string }{
		"both pass":    {"=== RUN   TestA\n--- PASS: TestA (0.00s)\nnoise--- PASS: TestB (0.10s)\nPASS\nvm: suite ends 0 0", ""},
		"one skipped":  {"--- PASS: TestA (0.00s)\n--- SKIP: TestB (0.00s)\nPASS\nvm: suite ends 0 0", "TestB did not pass"},
		"one absent":   {"--- PASS: TestA (0.00s)\nPASS\nvm: suite ends 0 0", "TestB did not pass"},
		"only a part":  {"--- PASS: TestA (0.00s)\n    --- PASS: TestB (0.00s)\nvm: suite ends 0 0", "TestB did not pass"},
		"one fails":    {"--- PASS: TestA (0.00s)\n--- FAIL: TestB (0.00s)\nvm: suite ends 0 1", "exit status 1"},
		"panic at end": {"--- PASS: TestA (0.00s)\n--- PASS: TestB (0.00s)\npanic: x\nvm: suite ends 0 2", "exit status 2"},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVerdict(suites, false)
			listen(strings.NewReader("vm: suite begins 0\r\n"+c.output+"\n"), v)
			err := v.conclude(false)
			if (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("concluded %v, want %q", err, c.wrong)
			}
		})
	}
}

// A machine that goes down early has ended nothing.
func TestJobEnds(t *testing.T) {
	if listen(strings.NewReader("Kernel panic\n"), &echo{}) {
		t.Error("a panic was taken for the end of the job")
	}
	if !listen(strings.NewReader("x\n"+ended+"\r\n"), &echo{}) {
		t.Error("the end of the job was not seen")
	}
	v := newVerdict([]suite{{path: "p"}}, false)
	listen(strings.NewReader("vm: suite begins 0\n=== RUN   TestHangs\n"), v)
	if err := v.during(errors.New("stopped")); !strings.Contains(err.Error(), "in p, TestHangs: stopped") {
		t.Errorf("stopped with %v", err)
	}
}

// The archive is held against another implementation of cpio.
func TestArchive(t *testing.T) {
	var a archive
	a.add("d", 0o040755, nil)
	a.add("d/file", 0o100644, []byte("content"))
	a.add("link", 0o120777, []byte("d/file"))
	dir := t.TempDir()
	cmd := exec.Command("busybox", "cpio", "-i")
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(string(a.close()))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "link")); string(got) != "content" {
		t.Errorf("read %q through the link: %v", got, err)
	}
}

func TestModuleOrder(t *testing.T) {
	tree := t.TempDir()
	k := kernel{version: "1", tree: tree}
	if err := errors.Join(
		os.MkdirAll(k.modules(), 0o755),
		os.WriteFile(filepath.Join(k.modules(), "modules.dep"), []byte("a/top-one.ko: a/mid.ko.xz a/low.ko\na/mid.ko.xz: a/low.ko\na/low.ko:\n"), 0o644),
	); err != nil {
		t.Fatal(err)
	}
	x, err := readModuleIndex(k)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(x.order([]string{"top_one", "inside"}), " "); got != "a/low.ko a/mid.ko.xz a/top-one.ko" {
		t.Errorf("order %s", got)
	}
}
