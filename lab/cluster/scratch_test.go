package cluster

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/tsunagu-net/tsunagu/lab/plan"
)

// What a killed run left goes; what a run that is there has stays.
func TestScratch(t *testing.T) {
	ended := exec.Command("true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	const prefix = "tlscr"
	mine, theirs := prefix+strconv.FormatInt(int64(os.Getppid()), 36), prefix+strconv.FormatInt(int64(ended.Process.Pid), 36)
	for _, name := range []string{mine, theirs} {
		run := filepath.Join(runDir, name)
		if err := os.MkdirAll(run, 0o755); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			os.RemoveAll(run)
			os.Remove(runDir)
		})
		if err := os.WriteFile(filepath.Join(run, "root"), []byte(t.TempDir()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	name, err := Scratch(prefix)
	if err != nil {
		t.Fatal(err)
	}
	if err := plan.CheckName("lab", name); err != nil || name == mine || name == theirs {
		t.Errorf("name %q: %v", name, err)
	}
	if !Exists(mine) || Exists(theirs) {
		t.Errorf("the lab of a process that is there: %v; of one that ended: %v", Exists(mine), Exists(theirs))
	}
}
