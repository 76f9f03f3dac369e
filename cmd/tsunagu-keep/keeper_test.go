package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func count(t *testing.T, path string) int {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(raw), "\n")
}

// A program that is killed twice and then ends by itself was started three
// times.
func TestStartsAgain(t *testing.T) {
	starts := filepath.Join(t.TempDir(), "starts")
	script := `echo >>` + starts + `; [ $(wc -l <` + starts + `) -ge 3 ] || kill -9 $$`
	var said bytes.Buffer
	k := keeper{argv: []string{"/bin/sh", "-c", script}, said: &said}
	if code := k.run(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if n := count(t, starts); n != 3 {
		t.Errorf("started %d times, want 3", n)
	}
	if n := strings.Count(said.String(), `"code":"137"`); n != 2 {
		t.Errorf("said %q", said.String())
	}
}

// A signal is passed on, and the end after it is the end.
func TestSignalEnds(t *testing.T) {
	signals := make(chan os.Signal, 1)
	ready := filepath.Join(t.TempDir(), "ready")
	if err := syscall.Mkfifo(ready, 0o600); err != nil {
		t.Fatal(err)
	}
	go func() {
		os.ReadFile(ready) // ends when the script has written
		signals <- syscall.SIGTERM
	}()
	k := keeper{argv: []string{"/bin/sh", "-c", `trap 'exit 7' TERM; echo >` + ready + `; while :; do sleep 0.05; done`}, signals: signals, said: &bytes.Buffer{}}
	if code := k.run(); code != 7 {
		t.Errorf("exit code %d, want the program's own, 7", code)
	}
}

func TestMissingProgram(t *testing.T) {
	k := keeper{argv: []string{"/nowhere/tsunagu-agent"}, said: &bytes.Buffer{}}
	if code := k.run(); code != 127 {
		t.Errorf("exit code %d, want 127", code)
	}
}
