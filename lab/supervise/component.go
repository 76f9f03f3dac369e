// Package supervise keeps the programs of one machine of a lab running: it
// starts them in order, restarts what crashes, and stops, starts, kills and
// pauses single ones on request over a unix socket, so that a test can take an
// API server or a kubelet away. It runs inside the machine's namespaces and
// knows neither those nor Kubernetes. Start at Run; Client is the other end of
// the socket.
package supervise

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Component is one program of a machine.
type Component struct {
	Name string   `json:"name"`
	Argv []string `json:"argv"`
	Env  []string `json:"env,omitempty"`
	// Wait names sockets ("unix:/path", "tcp:host:port") that must accept a
	// connection before the program is started: cheaper than the crash loop
	// that programs answer a missing peer with.
	Wait []string `json:"wait,omitempty"`
}

// State is what a component is doing.
type State string

const (
	Waiting State = "waiting" // for its peers
	Running State = "running"
	Backoff State = "backoff" // crashed, will be started again
	Stopped State = "stopped" // on purpose
	Paused  State = "paused"  // on purpose
)

// Status is the public face of a component.
type Status struct {
	Name     string    `json:"name"`
	State    State     `json:"state"`
	PID      int       `json:"pid,omitempty"`
	Restarts int       `json:"restarts"`
	Since    time.Time `json:"since"`
	LastExit string    `json:"lastExit,omitempty"`
}

// runner drives one component. Its goroutine owns the process; verbs only set
// what is wanted and poke it.
type runner struct {
	spec Component
	log  string

	mu     sync.Mutex
	wanted bool
	status Status
	wake   chan struct{}
	exited chan struct{} // closed when the current process is gone
}

func newRunner(c Component, logDir string) *runner {
	return &runner{spec: c, log: filepath.Join(logDir, c.Name+".log"), wanted: true,
		status: Status{Name: c.Name, State: Waiting, Since: time.Now()}, wake: make(chan struct{}, 1)}
}

// A program that lived this long was not crashing.
const healthyAfter = 30 * time.Second

func (r *runner) run() {
	delay := 500 * time.Millisecond
	for {
		if !r.isWanted() {
			r.set(Stopped, 0)
			<-r.wake
			continue
		}
		r.set(Waiting, 0)
		if !r.awaitPeers() {
			continue
		}
		began := time.Now()
		err := r.once()
		if !r.isWanted() {
			continue
		}
		if time.Since(began) > healthyAfter {
			delay = 500 * time.Millisecond
		}
		r.mu.Lock()
		r.status.Restarts++
		r.status.LastExit = fmt.Sprint(err)
		r.mu.Unlock()
		r.set(Backoff, 0)
		select {
		case <-r.wake:
		case <-time.After(delay):
		}
		delay = min(delay*2, 10*time.Second)
	}
}

// once runs the program from start to end.
func (r *runner) once() error {
	log, err := openLog(r.log)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(r.spec.Argv[0], r.spec.Argv[1:]...)
	cmd.Env = append(os.Environ(), r.spec.Env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir = "/"
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		fmt.Fprintf(log, "starting %s: %v\n", r.spec.Name, err)
		return err
	}
	exited := make(chan struct{})
	r.mu.Lock()
	r.exited = exited
	r.mu.Unlock()
	r.set(Running, cmd.Process.Pid)
	if !r.isWanted() { // stopped between the check and the start
		_ = cmd.Process.Signal(unix.SIGTERM)
	}
	err = cmd.Wait()
	close(exited)
	if err == nil {
		err = errors.New("exit status 0")
	}
	return err
}

// awaitPeers is false when the component is no longer wanted.
func (r *runner) awaitPeers() bool {
	for _, peer := range r.spec.Wait {
		network, addr, _ := strings.Cut(peer, ":")
		for {
			c, err := net.DialTimeout(network, addr, time.Second)
			if err == nil {
				c.Close()
				break
			}
			select {
			case <-r.wake:
			case <-time.After(50 * time.Millisecond):
			}
			if !r.isWanted() {
				return false
			}
		}
	}
	return true
}

func (r *runner) isWanted() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.wanted
}

func (r *runner) set(s State, pid int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.status.State != s {
		r.status.Since = time.Now()
	}
	r.status.State, r.status.PID = s, pid
}

func (r *runner) get() Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status
}

func (r *runner) want(on bool) {
	r.mu.Lock()
	r.wanted = on
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// stop ends the program and keeps it down. What does not end in time by being
// asked is killed.
func (r *runner) stop(grace time.Duration) error {
	r.want(false)
	pid, exited := r.process()
	if pid == 0 {
		return nil
	}
	if grace > 0 {
		_ = unix.Kill(pid, unix.SIGTERM)
		_ = unix.Kill(pid, unix.SIGCONT) // a paused one must wake up to die
		select {
		case <-exited:
			return nil
		case <-time.After(grace):
		}
	}
	_ = unix.Kill(pid, unix.SIGKILL)
	<-exited
	return nil
}

// kill is a crash: the program is started again as after any other.
func (r *runner) kill() error {
	pid, exited := r.process()
	if pid == 0 {
		return fmt.Errorf("%s is not running", r.spec.Name)
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		return err
	}
	<-exited
	return nil
}

func (r *runner) pause(on bool) error {
	pid, _ := r.process()
	if pid == 0 {
		return fmt.Errorf("%s is not running", r.spec.Name)
	}
	sig, state := unix.SIGCONT, Running
	if on {
		sig, state = unix.SIGSTOP, Paused
	}
	if err := unix.Kill(pid, sig); err != nil {
		return err
	}
	r.set(state, pid)
	return nil
}

// process gives the live process; the channel closes when it is reaped, so the
// number cannot have become somebody else's before that.
func (r *runner) process() (int, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status.PID, r.exited
}

// keepLog is how large a log may be when its program starts; older lines go to
// one file beside it.
const keepLog = 32 << 20

func openLog(path string) (*os.File, error) {
	if st, err := os.Stat(path); err == nil && st.Size() > keepLog {
		_ = os.Rename(path, path+".old")
	}
	return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
}
