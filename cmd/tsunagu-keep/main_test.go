package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The test's program is also keep, and the agent that it keeps.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "tsunagu-keep":
		main()
	default:
		os.Exit(m.Run())
	}
}

// kept starts keep over an agent that is a shell script, which finds the file lives beside it.
func kept(t *testing.T, script string) (cmd *exec.Cmd, lives func() []string, errors *bytes.Buffer) {
	t.Helper()
	dir := t.TempDir()
	self, err := os.ReadFile("/proc/self/exe")
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "tsunagu-keep"), self, 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "tsunagu-agent"), []byte("#!/bin/sh\necho $$ >> "+dir+"/lives\n"+script+"\n"), 0o755))
	errors = &bytes.Buffer{}
	cmd = exec.Command(filepath.Join(dir, "tsunagu-keep"), "--flag")
	cmd.Stderr = errors
	must(t, cmd.Start())
	return cmd, func() []string {
		raw, _ := os.ReadFile(filepath.Join(dir, "lives"))
		return strings.Fields(string(raw))
	}, errors
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for range 1000 {
		if is() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("never: %s", what)
}

func TestKilledAgentIsStartedAgain(t *testing.T) {
	cmd, lives, said := kept(t, `test "$1" = --flag || exit 3; exec sleep 60`)
	for i := range 3 {
		eventually(t, "a life", func() bool { return len(lives()) == i+1 })
		pid, err := strconv.Atoi(lives()[i])
		must(t, err)
		must(t, syscall.Kill(pid, syscall.SIGKILL))
	}
	eventually(t, "another life", func() bool { return len(lives()) == 4 })
	must(t, cmd.Process.Signal(syscall.SIGTERM)) // is passed on, and is the end
	err := cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 128+int(syscall.SIGTERM) {
		t.Errorf("exit %d, %v; said %s", code, err, said)
	}
	if !strings.Contains(said.String(), "signal: killed") {
		t.Errorf("said %s", said)
	}
}

func TestEndsOfItsOwn(t *testing.T) {
	for script, want := range map[string]int{"exit 0": 0, "exit 2": 2} {
		cmd, lives, _ := kept(t, script)
		_ = cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != want || len(lives()) != 1 {
			t.Errorf("%s: exit %d after %d lives", script, code, len(lives()))
		}
	}
}
