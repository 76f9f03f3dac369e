package install

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// node is a node's folders, and what was logged.
func node(t *testing.T) (Places, *Installer, *bytes.Buffer) {
	t.Helper()
	root := t.TempDir()
	p := Places{
		Shim:   filepath.Join(root, "image", "tsunagu-cni"),
		BinDir: filepath.Join(root, "opt", "cni", "bin"), ConfDir: filepath.Join(root, "etc", "cni", "net.d"),
		Socket: "/run/tsunagu/cni.sock",
	}
	for _, dir := range []string{filepath.Dir(p.Shim), p.BinDir, p.ConfDir} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	put(t, p.Shim, "#!/bin/sh\nexit 0\n")
	var log bytes.Buffer
	return p, New(p, slog.New(slog.NewTextHandler(&log, nil))), &log
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// files lists the names in both folders.
func files(t *testing.T, p Places) string {
	t.Helper()
	var all []string
	for _, dir := range []string{p.BinDir, p.ConfDir} {
		names, _, err := list(dir)
		must(t, err)
		all = append(all, names...)
	}
	return strings.Join(all, " ")
}

func TestInstallAndRemove(t *testing.T) {
	p, i, _ := node(t)
	flannel := filepath.Join(p.ConfDir, "10-flannel.conflist")
	put(t, flannel, "flannel")
	must(t, i.Install())
	if got := files(t, p); got != "loopback tsunagu-cni 10-flannel.conflist" {
		t.Errorf("before the agent serves: %s", got)
	}
	if err := exec.Command(i.shim()).Run(); err != nil {
		t.Error("run the shim:", err)
	}
	must(t, i.Publish())
	must(t, i.Publish())
	if got := files(t, p); got != "loopback tsunagu-cni 00-tsunagu.conflist 10-flannel.conflist" {
		t.Errorf("installed: %s", got)
	}
	must(t, i.Remove())
	must(t, i.Remove())
	if got := files(t, p); got != "10-flannel.conflist" {
		t.Errorf("removed: %s", got)
	}
	if raw, _ := os.ReadFile(flannel); string(raw) != "flannel" {
		t.Errorf("the other's file says %q", raw)
	}
	must(t, i.Publish())
	if got := files(t, p); got != "10-flannel.conflist" {
		t.Errorf("something was installed after the removal: %s", got)
	}
}

// The next agent, after a restart in between, restores what the first one found.
func TestForeignFileComesBack(t *testing.T) {
	p, i, log := node(t)
	put(t, i.conf(), "foreign")
	must(t, i.Install())
	must(t, i.Publish())
	if raw, _ := os.ReadFile(i.conf()); !Ours(raw) {
		t.Errorf("configuration is %q", raw)
	}
	next := New(p, slog.New(slog.NewTextHandler(log, nil)))
	must(t, next.Install())
	must(t, next.Publish())
	must(t, next.Remove())
	if raw, _ := os.ReadFile(i.conf()); string(raw) != "foreign" {
		t.Errorf("restored is %q", raw)
	}
	if got := files(t, p); got != ConfName {
		t.Errorf("left: %s", got)
	}
}

// A shim that is being executed can be replaced, and a crash's litter goes.
func TestReplaceRunningShim(t *testing.T) {
	p, i, _ := node(t)
	sleep, err := exec.LookPath("sleep")
	must(t, err)
	raw, err := os.ReadFile(sleep)
	must(t, err)
	must(t, os.WriteFile(i.shim(), raw, 0o755))
	put(t, filepath.Join(p.BinDir, part+"123"), "half")
	running := exec.Command(i.shim(), "60")
	must(t, running.Start())
	defer running.Wait()
	defer running.Process.Kill()
	must(t, i.Install())
	if now, _ := os.ReadFile(i.shim()); string(now) != "#!/bin/sh\nexit 0\n" {
		t.Error("the shim was not replaced")
	}
	if got := files(t, p); got != "loopback "+ShimName {
		t.Errorf("left: %s", got)
	}
}

func TestFailuresSayFileAndFix(t *testing.T) {
	t.Run("missing folder", func(t *testing.T) {
		p, i, _ := node(t)
		must(t, os.Remove(p.ConfDir))
		says(t, i.Install(), "list "+p.ConfDir+": no such file or directory; mount the node's "+p.ConfDir)
	})
	t.Run("missing shim", func(t *testing.T) {
		p, i, _ := node(t)
		must(t, os.Remove(p.Shim))
		says(t, i.Install(), p.Shim, "use an image built by make image")
	})
	t.Run("read-only file system", func(t *testing.T) {
		p, i, _ := node(t)
		must(t, syscall.Mount("tmpfs", p.BinDir, "tmpfs", syscall.MS_RDONLY, ""))
		defer syscall.Unmount(p.BinDir, 0)
		says(t, i.Install(), "write shim "+i.shim()+": read-only file system; mount "+p.BinDir+" of the agent's Pod without readOnly")
	})
	t.Run("folder of our name", func(t *testing.T) {
		_, i, _ := node(t)
		must(t, os.Mkdir(i.shim(), 0o755))
		says(t, i.Install(), "read "+i.shim()+": is a directory; something else has this name")
	})
	t.Run("no space", func(t *testing.T) {
		says(t, failure("write shim /opt/cni/bin/x", "/opt/cni/bin", &fs.PathError{Op: "write", Path: "/tmp/y", Err: syscall.ENOSPC}),
			"write shim /opt/cni/bin/x: no space left on device; free space on the node's file system of /opt/cni/bin")
	})
}

func says(t *testing.T, err error, pieces ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	var f Failure
	if !errors.As(err, &f) {
		t.Errorf("%T is no Failure", err)
	}
	for _, piece := range pieces {
		if !strings.Contains(err.Error(), piece) {
			t.Errorf("says %q, want %q", err, piece)
		}
	}
}

func TestKeepRepairsAndTires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, i, log := node(t)
		must(t, i.Install())
		must(t, i.Publish())
		ctx, cancel := context.WithCancel(t.Context())
		go i.Keep(ctx)

		must(t, os.Rename(i.conf(), i.conf()+".cilium_bak"))
		time.Sleep(look + time.Millisecond)
		synctest.Wait()
		if _, err := os.Stat(i.conf()); err != nil {
			t.Error("not repaired within a second:", err)
		}
		repaired := 0
		for range 70 {
			if err := os.Remove(i.conf()); err == nil {
				repaired++
			}
			time.Sleep(look)
			synctest.Wait()
		}
		if repaired < patience || repaired > patience+3 {
			t.Errorf("repaired %d times within 70 s against a rival", repaired)
		}
		if n := strings.Count(log.String(), "cni.exclusive=false"); n != 1 {
			t.Errorf("the rival was named %d times:\n%s", n, log)
		}
		cancel()
		synctest.Wait()
	})
}

func TestShadowIsReportedOnce(t *testing.T) {
	p, i, log := node(t)
	put(t, filepath.Join(p.ConfDir, "00-multus.conf"), "{}")
	must(t, i.Install())
	must(t, i.Publish())
	must(t, i.Publish())
	if n := strings.Count(log.String(), "00-multus.conf"); n != 1 {
		t.Errorf("reported %d times:\n%s", n, log)
	}
}

// The plugin that the shim stands for comes back at the end.
func TestStandsForAnotherIPAMPlugin(t *testing.T) {
	p, _, _ := node(t)
	p.IPAM = []string{"whereabouts"}
	whereabouts := filepath.Join(p.BinDir, "whereabouts")
	put(t, whereabouts, "#!/bin/sh\necho whereabouts\n")
	i := New(p, slog.New(slog.DiscardHandler))
	for range 2 {
		must(t, i.Install())
		if to, err := os.Readlink(whereabouts); err != nil || to != ShimName {
			t.Fatalf("it is %q, %v", to, err)
		}
	}
	must(t, i.Remove())
	raw, err := os.ReadFile(whereabouts)
	if err != nil || string(raw) != "#!/bin/sh\necho whereabouts\n" || files(t, p) != "whereabouts" {
		t.Errorf("left: %s; %q, %v", files(t, p), raw, err)
	}
}
