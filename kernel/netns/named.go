package netns

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// Dir is where iproute2 and container runtimes keep names of namespaces.
const Dir = "/run/netns"

// Create makes a namespace with a name that `ip netns` sees too. It is an error when the name exists.
func Create(name string) (*Namespace, error) {
	path := filepath.Join(Dir, name)
	if err := os.MkdirAll(Dir, 0o755); err != nil {
		return nil, fmt.Errorf("make %s: %w", Dir, err)
	}
	if err := share(); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|os.O_CREATE|os.O_EXCL, 0o444)
	if err != nil {
		return nil, fmt.Errorf("name network namespace %s: %w", name, err)
	}
	f.Close()
	if err := unshareAt(path); err != nil {
		return nil, errors.Join(fmt.Errorf("make network namespace %s: %w", name, err), os.Remove(path))
	}
	return Open(path)
}

// share makes Dir a shared mount, as `ip netns add` does: were it done later, names made before would hide below it.
func share() error {
	err := unix.Mount("", Dir, "none", unix.MS_SHARED|unix.MS_REC, "")
	if errors.Is(err, unix.EINVAL) { // not a mount yet
		if err = unix.Mount(Dir, Dir, "none", unix.MS_BIND|unix.MS_REC, ""); err == nil {
			err = unix.Mount("", Dir, "none", unix.MS_SHARED|unix.MS_REC, "")
		}
	}
	if err != nil {
		return fmt.Errorf("share %s: %w", Dir, err)
	}
	return nil
}

// unshareAt makes a namespace that lives by its mount at path alone. The thread goes back: were it left to die and happened to be the
// process's first, it would stay, and /proc/self with it, in the new namespace.
func unshareAt(path string) error {
	back, err := home()
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			runtime.UnlockOSThread()
			done <- err
			return
		}
		err := unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, "")
		if unix.Setns(back.fd, unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

// Delete removes a name. The namespace itself goes with its last user. A name that does not exist is success.
func Delete(name string) error {
	path := filepath.Join(Dir, name)
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount network namespace %s: %w", name, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove name of network namespace %s: %w", name, err)
	}
	return nil
}
