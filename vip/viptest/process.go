package viptest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Process is a program that runs in a node's namespace.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
}

// Start runs a program in a node's namespace.
func (n *Node) Start(out io.Writer, env []string, argv ...string) (*Process, error) {
	p := &Process{cmd: exec.Command(argv[0], argv[1:]...), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := n.NS.Do(p.cmd.Start); err != nil {
		return nil, fmt.Errorf("start %s on %s: %w", argv[0], n.Name, err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// Signal sends a signal to the process and its children.
func (p *Process) Signal(s syscall.Signal) error {
	select {
	case <-p.done:
		return errors.New("the process has ended")
	default:
		return syscall.Kill(-p.cmd.Process.Pid, s)
	}
}

// Stop ends it in peace, and by force after five seconds. It is called twice
// without harm.
func (p *Process) Stop() {
	_ = p.Signal(syscall.SIGCONT)
	_ = p.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(5 * time.Second):
		_ = p.Signal(syscall.SIGKILL)
		<-p.done
	}
}

// Ended tells whether it has.
func (p *Process) Ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}
