package netns

import (
	"fmt"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// Home is the namespace that threads of this process start in; it is shared and must not be closed. Only locked threads are ever
// elsewhere, so a new goroutine that is not locked yet is at home.
func Home() (*Namespace, error) { return home() }

var home = sync.OnceValues(func() (*Namespace, error) {
	type opened struct {
		n   *Namespace
		err error
	}
	c := make(chan opened)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		n, err := Here()
		c <- opened{n, err}
	}()
	o := <-c
	return o.n, o.err
})

// Do calls fn on a thread inside the namespace and waits for it. Goroutines that fn starts are not in the namespace; sockets that it
// opens stay in it. When the thread cannot be brought back it is thrown away.
func (n *Namespace) Do(fn func() error) error {
	back, err := home()
	if err != nil {
		return fmt.Errorf("find the way back from namespace %s: %w", n.path, err)
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if err := unix.Setns(n.fd, unix.CLONE_NEWNET); err != nil {
			runtime.UnlockOSThread()
			done <- fmt.Errorf("enter network namespace %s: %w", n.path, err)
			return
		}
		// A panic in fn ends the process with its own trace; a Goexit (a test's FailNow) ends the thread and must not hang the caller.
		defer func() {
			if unix.Setns(back.fd, unix.CLONE_NEWNET) == nil {
				runtime.UnlockOSThread()
			} // else: a goroutine that ends locked takes its thread along
			close(done)
		}()
		done <- fn()
	}()
	err, ok := <-done
	if !ok {
		return fmt.Errorf("in network namespace %s: goroutine ended early", n.path)
	}
	return err
}
