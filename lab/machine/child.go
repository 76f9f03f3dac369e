package machine

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/tsunagu-net/tsunagu/lab/cgroup"
	"github.com/tsunagu-net/tsunagu/lab/supervise"
)

// stageEnv tells the second life of the child from the first.
const stageEnv = "TSUNAGU_LAB_MACHINE_BUILT"

// MainIfChild takes over when this process was started to be a machine; it
// returns at once otherwise. Every program that starts labs calls it first,
// tests from TestMain: the program is its own supervisor, so that there is no
// second binary to find.
func MainIfChild() {
	file := os.Getenv(childEnv)
	if file == "" {
		return
	}
	err := child(file)
	fmt.Fprintf(os.Stderr, "machine %s: %v\n", file, err)
	os.Exit(1)
}

func child(file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var s Spec
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("reading %s: %w", file, err)
	}
	if os.Getenv(stageEnv) == "" {
		return build(s)
	}
	os.Unsetenv(childEnv)
	os.Unsetenv(stageEnv)
	return live(s)
}

// build makes the machine around this process and starts the program again in
// it. The second start is what carries the cgroup namespace, which Linux
// changes for one thread only, to all threads of the supervisor.
func build(s Spec) error {
	runtime.LockOSThread()
	host, err := cgroup.Detect()
	if err != nil {
		return err
	}
	group := s.Group(host)
	if err := group.Add(os.Getpid()); err != nil {
		return err
	}
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("unsharing cgroup namespace: %w", err)
	}
	// The machine's root group itself stays free of processes: v2 lets it hand
	// out controllers only then.
	if err := group.Child("init").Add(os.Getpid()); err != nil {
		return err
	}
	if err := group.HandDown(); err != nil {
		return err
	}
	if err := buildRoot(s, host); err != nil {
		return fmt.Errorf("building the root file system: %w", err)
	}
	if err := unix.Sethostname([]byte(s.Name)); err != nil {
		return fmt.Errorf("setting host name: %w", err)
	}
	return unix.Exec("/proc/self/exe", os.Args, append(os.Environ(), stageEnv+"=1"))
}

// live runs the machine's programs until it is switched off.
func live(s Spec) error {
	control, err := inherited(3)
	if err != nil {
		return fmt.Errorf("taking over the control socket: %w", err)
	}
	listeners := map[string]net.Listener{}
	for i, addr := range s.Inherited {
		if listeners[addr], err = inherited(4 + i); err != nil {
			return fmt.Errorf("taking over the listener on %s: %w", addr, err)
		}
	}
	return supervise.Run(s.Machine, control, listeners)
}

func inherited(fd int) (net.Listener, error) {
	f := os.NewFile(uintptr(fd), "listener")
	if f == nil {
		return nil, unix.EBADF
	}
	defer f.Close()
	unix.CloseOnExec(fd)
	return net.FileListener(f)
}
