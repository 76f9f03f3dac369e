package lease

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// planted are bugs that the schedules must find: each is a change of this
// package's source.
var planted = []struct {
	name, file string
	change     []string // old, new, …; each old stands in the file once
}{
	{"promises at once after a restart", "machine.go", []string{"if !c.First {", "if false {"}},
	{"the owner counts from the answer", "candidate.go", []string{"max(m.me.valid[in.From.ID], at.Add(", "max(m.me.valid[in.From.ID], max(at, now).Add("}},
	{"no guard against clocks of another speed", "timing.go", []string{"return d - d/20", "return d"}},
	{"a late release frees a newer promise", "acceptor.go", []string{"|| p.to != in.From || in.Epoch < p.epoch {", "|| p.to.ID != in.From.ID {"}},
	{"half is a majority", "members.go", []string{"need := len(ids)/2 + 1", "need := (len(ids) + 1) / 2"}},
	{"a joint list needs the new majority alone", "members.go", []string{"if !ok || len(m.Out) == 0 {", "if !ok || len(m.Out) >= 0 {"}},
	{"lists are forgotten by a restart", "change.go", []string{"m.out.Keep = &kept", "_ = kept"}},
	{"a change does not wait for the majority", "change.go", []string{"if !m.settled() {\n\t\t\treturn\n\t\t}", ""}},
	{"two promises at a time", "acceptor.go", []string{"case p.lasts(now) && p.to != from:", "case p.lasts(now) && p.to != from && p.epoch >= epoch:"}},
	{"still owns when it has told others that it does not", "candidate.go", []string{
		"m.role = follower\n\trelease :=", "release :=",
		"\tm.me = attempt{epoch: m.me.epoch, round: m.me.round}\n}", "}"}},
}

// TestPlantedBugsAreFound builds the package with each bug in it and demands
// that TestNeverTwoOwners fails.
func TestPlantedBugsAreFound(t *testing.T) {
	for _, bug := range planted {
		t.Run(bug.name, func(t *testing.T) {
			t.Parallel()
			out, err := withBug(t, bug.file, bug.change)
			switch {
			case err == nil:
				t.Errorf("no schedule finds it")
			default:
				_, found, _ := strings.Cut(out, "sim_test.go")
				t.Log(strings.SplitN(found, "\n", 2)[0])
			}
		})
	}
}

func withBug(t *testing.T, file string, change []string) (string, error) {
	t.Helper()
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := string(source)
	for i := 0; i < len(change); i += 2 {
		if strings.Count(text, change[i]) != 1 {
			t.Fatalf("%q stands %d times in %s: the bug is not planted", change[i], strings.Count(text, change[i]), file)
		}
		text = strings.Replace(text, change[i], change[i+1], 1)
	}
	dir := t.TempDir()
	buggy := filepath.Join(dir, file)
	here, err := filepath.Abs(file)
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
	c := exec.Command("go", "test", "-overlay", filepath.Join(dir, "overlay.json"), "-vet=off", "-count=1", "-run", "^TestNeverTwoOwners$", ".")
	c.Env = append(os.Environ(), "TSUNAGU_SCHEDULES=30000")
	out, err := c.CombinedOutput()
	if err != nil && !strings.Contains(string(out), "--- FAIL: TestNeverTwoOwners") {
		t.Fatalf("run the tests with the bug: %v\n%s", err, out)
	}
	return string(out), err
}
