package netns_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

func create(t *testing.T, name string) *netns.Namespace {
	t.Helper()
	name = fmt.Sprintf("tst-netns-%d-%s", os.Getpid(), name)
	n, err := netns.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		n.Close()
		if err := errors.Join(netns.Delete(name), netns.Delete(name)); err != nil {
			t.Error(err)
		}
	})
	return n
}

func here(t *testing.T) netns.ID {
	t.Helper()
	n, err := netns.Here()
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	return n.ID()
}

func TestDoIsInsideAndComesBack(t *testing.T) {
	n := create(t, "a")
	home := here(t)
	if n.ID() == home {
		t.Fatal("the new namespace is the old one")
	}
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			err := n.Do(func() error {
				if id := here(t); id != n.ID() {
					t.Errorf("inside is %v, want %v", id, n.ID())
				}
				return os.ErrClosed
			})
			if !errors.Is(err, os.ErrClosed) {
				t.Errorf("Do returned %v", err)
			}
			if id := here(t); id != home {
				t.Errorf("outside is %v, want %v", id, home)
			}
		})
	}
	wg.Wait()
}

func TestDoSurvivesGoexit(t *testing.T) {
	n := create(t, "a")
	if err := n.Do(func() error { runtime.Goexit(); return nil }); err == nil {
		t.Error("a function that never returned is a success")
	}
	for range 20 {
		if here(t) == n.ID() {
			t.Error("thread left behind in the namespace")
		}
	}
}

func TestDoFromAnotherNamespace(t *testing.T) {
	a, b := create(t, "a"), create(t, "b")
	if err := a.Do(func() error {
		return b.Do(func() error {
			if here(t) != b.ID() {
				t.Error("not in the inner namespace")
			}
			return nil
		})
	}); err != nil {
		t.Error(err)
	}
}

func TestSocketsStay(t *testing.T) {
	n := create(t, "a")
	var l net.Listener
	if err := n.Do(func() (err error) { l, err = net.Listen("tcp", "0.0.0.0:0"); return err }); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if c, err := net.Dial("tcp", l.Addr().String()); err == nil {
		c.Close()
		t.Error("a socket inside was reached from outside")
	}
}

func TestGone(t *testing.T) {
	n := create(t, "a")
	id := n.ID()
	if gone, err := netns.Gone(n.Path(), id); gone || err != nil {
		t.Errorf("there, and yet gone=%v, %v", gone, err)
	}
	if gone, err := netns.Gone(n.Path(), netns.ID{}); !gone || err != nil {
		t.Errorf("another one: gone=%v, %v", gone, err)
	}
	file := t.TempDir() + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, file + "x", file + "/x", "/proc/thread-self/ns/mnt", t.TempDir()} {
		if _, err := netns.Open(path); !errors.Is(err, netns.ErrGone) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := unix.Unmount(n.Path(), unix.MNT_DETACH); err != nil { // what runtimes do before they remove the file
		t.Fatal(err)
	}
	if gone, err := netns.Gone(n.Path(), id); !gone || err != nil {
		t.Errorf("unmounted: gone=%v, %v", gone, err)
	}
}

func TestNameIsTaken(t *testing.T) {
	n := create(t, "a")
	if _, err := netns.Create(n.Path()[len(netns.Dir)+1:]); !errors.Is(err, os.ErrExist) {
		t.Errorf("made twice: %v", err)
	}
}
