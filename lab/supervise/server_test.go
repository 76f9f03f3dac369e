package supervise

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// eventually polls, since programs need real time to start and die.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestVerbs(t *testing.T) {
	dir := t.TempDir()
	sock := filepath.Join(dir, "s")
	control, err := net.Listen("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	defer control.Close()
	peer := filepath.Join(dir, "peer")
	go Run(Machine{LogDir: filepath.Join(dir, "log"), Components: []Component{
		{Name: "sleeper", Argv: []string{"sleep", "1000"}},
		{Name: "later", Argv: []string{"sleep", "1000"}, Wait: []string{"unix:" + peer}},
		{Name: "deaf", Argv: []string{"sh", "-c", "echo hello; exit 3"}},
	}}, control, nil)

	ctx := context.Background()
	c := Client{Socket: sock}
	status := func(i int) Status {
		rep, err := c.Status(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return rep.Components[i]
	}
	do := func(name, verb string) {
		t.Helper()
		if err := c.Do(ctx, name, verb); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		_ = c.Do(ctx, "sleeper", "stop")
		_ = c.Do(ctx, "later", "stop")
		_ = c.Do(ctx, "deaf", "stop")
	})

	eventually(t, "sleeper runs", func() bool { return status(0).State == Running })
	first := status(0).PID
	do("sleeper", "kill")
	eventually(t, "sleeper runs again", func() bool { s := status(0); return s.State == Running && s.PID != first && s.Restarts == 1 })
	do("sleeper", "stop")
	eventually(t, "sleeper is stopped", func() bool { return status(0).State == Stopped })
	if err := c.Do(ctx, "sleeper", "kill"); err == nil {
		t.Error("killed what does not run")
	}
	do("sleeper", "start")
	eventually(t, "sleeper is started", func() bool { return status(0).State == Running })
	do("sleeper", "pause")
	if s := status(0).State; s != Paused {
		t.Errorf("paused sleeper is %s", s)
	}
	do("sleeper", "stop") // a paused program can be stopped

	if s := status(1).State; s != Waiting {
		t.Errorf("later is %s although its peer is not there", s)
	}
	ln, err := net.Listen("unix", peer)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	eventually(t, "later runs once its peer listens", func() bool { return status(1).State == Running })

	eventually(t, "deaf is restarted with a reason", func() bool { s := status(2); return s.Restarts > 0 && s.LastExit == "exit status 3" })
	b, _ := os.ReadFile(filepath.Join(dir, "log", "deaf.log"))
	if len(b) == 0 {
		t.Error("deaf's output is not in its log")
	}
	if err := c.Do(ctx, "nobody", "stop"); err == nil {
		t.Error("stopped a component that does not exist")
	}
}

func TestNobodyThere(t *testing.T) {
	_, err := Client{Socket: filepath.Join(t.TempDir(), "none")}.Status(context.Background())
	if !errors.Is(err, ErrDown) {
		t.Errorf("want ErrDown, have %v", err)
	}
}
