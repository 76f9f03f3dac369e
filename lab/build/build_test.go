package build

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestKeyFollowsWhatIsBuilt(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		p := filepath.Join(dir, "m", name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := Set{Name: "m", Module: "m"}
	key := func(version string) string {
		t.Helper()
		k, err := s.Key(dir, version)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	write("go.mod", "module m")
	write("main.go", "package main")
	first := key("go1.26.8")
	if again := key("go1.26.8"); again != first {
		t.Error("the same sources have two keys")
	}
	write("main_test.go", "package main")
	write("README.md", "words")
	if key("go1.26.8") != first {
		t.Error("a test or a text changes the key")
	}
	seen := map[string]string{first: "first"}
	differs := func(what, k string) {
		t.Helper()
		if other, ok := seen[k]; ok {
			t.Errorf("%s has the key of %s", what, other)
		}
		seen[k] = what
	}
	differs("another Go", key("go1.27.0"))
	write("cmd/x/main.go", "package main")
	differs("another source", key("go1.26.8"))
	write("go.sum", "sum")
	differs("another dependency", key("go1.26.8"))
	s.LDFlags = "-X a=b"
	differs("other flags", key("go1.26.8"))
}

func TestVersionIsTheOneRequired(t *testing.T) {
	b, err := os.ReadFile("../kubernetes/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), "k8s.io/kubernetes "+Version+"\n") {
		t.Errorf("kubernetes/go.mod does not require k8s.io/kubernetes %s", Version)
	}
	staging := "v0" + strings.TrimPrefix(Version, "v1")
	for _, line := range strings.Split(string(b), "\n") {
		if strings.Contains(line, "=> k8s.io/") && !strings.HasSuffix(line, " "+staging) {
			t.Errorf("want %s: %s", staging, line)
		}
	}
}
