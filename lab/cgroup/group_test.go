package cgroup

import (
	"os"
	"os/exec"
	"testing"
)

// Namespace tier: needs root and this machine's cgroups.
func TestGroupKillsWhatItHolds(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIP: needs root to create cgroups")
	}
	host, err := Detect()
	if err != nil {
		t.Fatal(err)
	}
	top := host.Group("tsunagu-lab-test")
	g := top.Child("tlgroup")
	if err := g.Create(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := top.Remove(); err != nil {
			t.Error(err)
		}
	})
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	if err := g.Add(cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	if err := g.Freeze(true); err != nil {
		t.Fatal(err)
	}
	if !g.Frozen() {
		t.Error("not frozen after Freeze(true)")
	}
	if err := top.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err == nil {
		t.Error("sleep ended by itself")
	}
	if err := g.Kill(); err != nil {
		t.Errorf("killing an empty group: %v", err)
	}
}
