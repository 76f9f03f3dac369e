package image

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

func TestPauseSleepsUntilKilled(t *testing.T) {
	b, err := pause(runtime.GOARCH)
	if err != nil {
		t.Fatal(err)
	}
	p := filepath.Join(t.TempDir(), "pause")
	if err := os.WriteFile(p, b, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(p)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		t.Fatalf("pause (%d bytes) ended by itself: %v", len(b), err)
	case <-time.After(300 * time.Millisecond):
	}
	stat, err := os.ReadFile(filepath.Join("/proc", itoa(cmd.Process.Pid), "stat"))
	if err != nil {
		t.Fatal(err)
	}
	if state := afterName(string(stat)); state != 'S' {
		t.Errorf("pause is in state %c, want S (asleep)", state)
	}
	status, _ := os.ReadFile(filepath.Join("/proc", itoa(cmd.Process.Pid), "status"))
	if !ignores(string(status), 17) {
		t.Error("pause does not ignore SIGCHLD, so orphans of a Pod stay zombies")
	}
	cmd.Process.Kill()
	<-done
}

func TestEveryArchitectureHasAHeader(t *testing.T) {
	for _, arch := range []string{"amd64", "arm64"} {
		b, err := pause(arch)
		if err != nil || len(b) < 120 {
			t.Errorf("%s: %d bytes, %v", arch, len(b), err)
		}
	}
	if _, err := pause("mips"); err == nil {
		t.Error("mips has a pause program?")
	}
}
