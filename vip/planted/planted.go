// Package planted puts a bug into a package's source and demands that one of its tests finds it: the proof that the test can fail.
//
// It owns the change of the source, which the compiler sees and the folder does not. It does not know what the bugs are.
//
// Start at Bug.Run.
package planted

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Bug is a change of the source of the package under test.
type Bug struct {
	Name, File string
	// Change is old, new, …; each old stands in the file once.
	Change []string
}

// Run tells whether the test of that name fails with the bug, and what it says. Words with a dash in front are the test's flags, others (NAME=VALUE)
// are of its environment.
func (b Bug) Run(t *testing.T, test string, more ...string) (said string, found bool) {
	t.Helper()
	source, err := os.ReadFile(b.File)
	if err != nil {
		t.Fatal(err)
	}
	text := string(source)
	for i := 0; i < len(b.Change); i += 2 {
		if strings.Count(text, b.Change[i]) != 1 {
			t.Fatalf("%q stands %d times in %s: the bug is not planted", b.Change[i], strings.Count(text, b.Change[i]), b.File)
		}
		text = strings.Replace(text, b.Change[i], b.Change[i+1], 1)
	}
	dir := t.TempDir()
	buggy := filepath.Join(dir, b.File)
	here, err := filepath.Abs(b.File)
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {here: buggy}})
	if err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string][]byte{buggy: []byte(text), filepath.Join(dir, "overlay.json"): overlay} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := exec.Command("go", "test", "-overlay", filepath.Join(dir, "overlay.json"), "-vet=off", "-count=1", "-timeout", "5m", "-run", "^"+test+"$", ".")
	c.Env = os.Environ()
	for _, word := range more {
		if strings.HasPrefix(word, "-") {
			c.Args = append(c.Args, word)
		} else {
			c.Env = append(c.Env, word)
		}
	}
	out, err := c.CombinedOutput()
	if err != nil && !strings.Contains(string(out), "--- FAIL: "+test) {
		t.Fatalf("run the tests with the bug: %v\n%s", err, out)
	}
	return string(out), err != nil
}
