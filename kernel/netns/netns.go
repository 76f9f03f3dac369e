// Package netns opens, enters, makes and removes network namespaces.
//
// It owns the one delicate thing about them in Go: a thread that has entered a namespace must come back or die, and never be
// handed to other goroutines in between. It does not know what is done inside.
//
// Start at Open, then Namespace.Do.
package netns

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// ErrGone tells that a path does not lead to a network namespace (any more): nothing there, or the file left when a runtime has
// unmounted it.
var ErrGone = errors.New("no network namespace there")

// ID tells namespaces apart as long as one of them is held open (stat(2) of the nsfs inode, namespaces(7)).
type ID struct{ Dev, Ino uint64 }

// Namespace is an open network namespace. It exists at least until Close, whatever happens to its path.
type Namespace struct {
	path string
	fd   int
	id   ID
}

// Open opens the namespace at path, a mount of runtimes (/run/netns/…) or /proc/PID/ns/net. The error is ErrGone when there is none.
func Open(path string) (*Namespace, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
			return nil, fmt.Errorf("open %s: %w", path, ErrGone)
		}
		return nil, fmt.Errorf("open network namespace %s: %w", path, err)
	}
	n, err := adopt(path, fd)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return n, nil
}

// adopt checks that an open file is a network namespace.
func adopt(path string, fd int) (*Namespace, error) {
	kind, err := unix.IoctlRetInt(fd, unix.NS_GET_NSTYPE)
	if err != nil || kind != unix.CLONE_NEWNET {
		return nil, fmt.Errorf("open %s: %w", path, ErrGone)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, fmt.Errorf("stat network namespace %s: %w", path, err)
	}
	return &Namespace{path: path, fd: fd, id: ID{Dev: st.Dev, Ino: st.Ino}}, nil
}

// Here opens the namespace of the calling thread, which is the process's own unless the caller has locked and moved its thread.
func Here() (*Namespace, error) { return Open("/proc/thread-self/ns/net") }

// Gone tells whether path does not lead to the namespace id (any more). An error means that it cannot be known now.
func Gone(path string, id ID) (bool, error) {
	n, err := Open(path)
	if errors.Is(err, ErrGone) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer n.Close()
	return n.id != id, nil
}

// FD is the open file, for messages that name a namespace by one (IFLA_NET_NS_FD). It is valid until Close.
func (n *Namespace) FD() int { return n.fd }

// ID is the namespace's identity.
func (n *Namespace) ID() ID { return n.id }

// Path is what Open was given.
func (n *Namespace) Path() string { return n.path }

// Close lets go of the namespace.
func (n *Namespace) Close() error { return unix.Close(n.fd) }
