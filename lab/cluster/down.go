package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/tsunagu-net/tsunagu/lab/cgroup"
	"github.com/tsunagu-net/tsunagu/lab/plan"
	"github.com/tsunagu-net/tsunagu/lab/wiring"
)

// Exists tells whether anything of a lab is there besides its files.
func Exists(name string) bool {
	if h, err := cgroup.Detect(); err == nil && h.Group(topGroup, name).Exists() {
		return true
	}
	_, err := os.Stat(filepath.Join(runDir, name))
	return err == nil
}

// Down removes a lab and everything it made, however far its making got.
// Removing what is not there is success. Programs and images stay in the cache.
func Down(root, name string) error {
	if err := plan.CheckName("lab", name); err != nil {
		return err
	}
	unlock, err := lock(name)
	if err != nil {
		return err
	}
	defer unlock()
	if b, err := os.ReadFile(filepath.Join(runDir, name, "root")); err == nil {
		root = string(b)
	} else if root == "" {
		if root, err = Root("."); err != nil {
			return err
		}
	}
	return erase(root, name)
}

// erase needs no state file to be whole: processes are found by the lab's
// cgroup, namespaces by the marks and directories that were made before them.
func erase(root, name string) error {
	h, err := cgroup.Detect()
	if err != nil {
		return err
	}
	group := h.Group(topGroup, name)
	if err := group.Kill(); err != nil {
		return err
	}
	if err := group.Remove(); err != nil {
		return err
	}
	h.Group(topGroup).RemoveIfEmpty()

	dir, run := filepath.Join(root, ".lab", name), filepath.Join(runDir, name)
	machines := map[string]bool{switchName: true, plan.Outside: true}
	for _, e := range list(run) {
		if m, ok := strings.CutSuffix(e, markSuffix); ok {
			machines[m] = true
		}
	}
	for _, e := range list(filepath.Join(dir, "nodes")) {
		machines[e] = true
	}
	for m := range machines {
		if err := wiring.DeleteNamespace(name + "-" + m); err != nil {
			return err
		}
	}
	wiring.TidyUp()
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("removing the files of lab %s: %w", name, err)
	}
	return os.RemoveAll(run)
}

func list(dir string) []string {
	entries, _ := os.ReadDir(dir)
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

// Down removes this lab.
func (c *Cluster) Down() error { return Down(c.state.Options.Dir, c.Name()) }
