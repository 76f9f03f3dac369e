// Package wiring joins a lab's machines: named network namespaces, one bridge
// per segment in a namespace of its own, and a veth from each machine to each
// bridge. Nothing is ever created in the host's network namespace. It knows
// addresses only as it is told them. Start at CreateNamespace and Plug.
package wiring

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// dir is where iproute2 looks for named namespaces.
const dir = "/run/netns"

// Path is the file that holds a named namespace.
func Path(name string) string { return filepath.Join(dir, name) }

// Exists tells whether name is a live namespace; a stale plain file, as a
// reboot or crash leaves it, is not.
func Exists(name string) bool {
	var st unix.Statfs_t
	return unix.Statfs(Path(name), &st) == nil && st.Type == unix.NSFS_MAGIC
}

// CreateNamespace makes a named network namespace. An existing one is kept.
func CreateNamespace(name string) error {
	if Exists(name) {
		return nil
	}
	unlock, err := lockDir()
	if err != nil {
		return fmt.Errorf("creating network namespace %s: %w", name, err)
	}
	defer unlock()
	if err := shareDir(); err != nil {
		return fmt.Errorf("creating network namespace %s: %w", name, err)
	}
	f, err := os.OpenFile(Path(name), os.O_CREATE|os.O_RDONLY, 0o444)
	if err != nil {
		return err
	}
	f.Close()
	err = OnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		return unix.Mount("/proc/thread-self/ns/net", Path(name), "", unix.MS_BIND, "")
	})
	if err != nil {
		os.Remove(Path(name))
		return fmt.Errorf("creating network namespace %s: %w", name, err)
	}
	return nil
}

// DeleteNamespace lets go of a named namespace; absent is success. Its links
// go when the last process in it does.
func DeleteNamespace(name string) error {
	for Exists(name) {
		if err := unix.Unmount(Path(name), unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmounting network namespace %s: %w", name, err)
		}
	}
	if err := os.Remove(Path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// TidyUp removes the directory of named namespaces, and the mount on it, when
// nobody has one.
func TidyUp() {
	if _, err := os.Stat(dir); err != nil {
		return
	}
	unlock, err := lockDir()
	if err != nil {
		return
	}
	defer unlock()
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		return
	}
	_ = unix.Unmount(dir, unix.MNT_DETACH) // not a mount is fine
	_ = os.Remove(dir)
}

// shareDir makes the directory a shared mount of its own, exactly as iproute2
// does before its first namespace. If we left that to it, its mount would cover
// ours, and they could not be removed until it goes.
func shareDir() error {
	err := unix.Mount("", dir, "", unix.MS_SHARED|unix.MS_REC, "")
	if errors.Is(err, unix.EINVAL) { // not a mount yet
		if err := unix.Mount(dir, dir, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("binding %s to itself: %w", dir, err)
		}
		err = unix.Mount("", dir, "", unix.MS_SHARED|unix.MS_REC, "")
	}
	if err != nil {
		return fmt.Errorf("sharing %s: %w", dir, err)
	}
	return nil
}

// lockDir makes the directory and locks it against other labs that come and go
// at the same time.
func lockDir() (func(), error) {
	for {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
		f, err := os.Open(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed by another between the two
		}
		if err != nil {
			return nil, err
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
			f.Close()
			return nil, err
		}
		mine, err1 := f.Stat()
		there, err2 := os.Stat(dir)
		if err1 == nil && err2 == nil && os.SameFile(mine, there) {
			return func() { f.Close() }, nil
		}
		f.Close()
	}
}

// In runs f on a thread inside the namespace.
func In(name string, f func() error) error {
	ns, err := os.Open(Path(name))
	if err != nil {
		return fmt.Errorf("entering network namespace: %w", err)
	}
	defer ns.Close()
	return OnThread(func() error {
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("entering network namespace %s: %w", name, err)
		}
		return f()
	})
}

// OnThread runs f on an operating-system thread of its own that is never given
// back: the runtime ends a thread whose goroutine ends locked, so no other
// goroutine can wake up in the wrong namespace.
func OnThread(f func() error) error {
	errs := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			// The main thread cannot be ended, and /proc/self shows what it
			// sees. While we hold it, the work must land on another.
			err := OnThread(f)
			runtime.UnlockOSThread()
			errs <- err
			return
		}
		errs <- f()
	}()
	return <-errs
}
