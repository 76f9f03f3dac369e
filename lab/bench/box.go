package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tsunagu-net/tsunagu/lab/wiring"
)

// boxEnv tells a process that it is inside, and where its working directory is.
const boxEnv = "TSUNAGU_BENCH_BOX"

// NodeNamespace is the name of the Box's own network namespace, which is the node's.
const NodeNamespace = "tstbench"

// Inside gives the working directory when this process is in a Box.
func Inside() (string, bool) {
	dir := os.Getenv(boxEnv)
	return dir, dir != ""
}

// Box runs this program again with the same arguments in namespaces of its own (network, mounts, processes), with /run, /etc, /opt and
// /sys of its own. All that it makes there ends with it, however it ends; what stays is the working directory, which is removed here,
// and at the next start when this process is killed too. It gives the program's exit code.
func Box(ctx context.Context, work string) (int, error) {
	// The child is killed with the thread that started it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	self, err := os.Executable()
	if err != nil {
		return 1, err
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), boxEnv+"="+work)
	cmd.SysProcAttr = &unix.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS,
		Pdeathsig:  unix.SIGKILL,
	}
	if err := cmd.Start(); err != nil {
		return 1, fmt.Errorf("starting in namespaces of its own (it takes root): %w", err)
	}
	// A terminal tells both processes of Ctrl-C; other senders tell this one only.
	stop := context.AfterFunc(ctx, func() {
		_ = cmd.Process.Signal(unix.SIGTERM)
		time.Sleep(10 * time.Second)
		_ = cmd.Process.Kill()
	})
	defer stop()
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() >= 0 {
		return exit.ExitCode(), nil
	}
	return cmd.ProcessState.ExitCode(), err
}

// WorkDir makes the working directory and removes those whose owner was killed. The file keeps the directory while it is open.
func WorkDir() (dir string, lock *os.File, err error) {
	const place, prefix = "/var/tmp", "tsunagu-bench-"
	old, _ := filepath.Glob(filepath.Join(place, prefix+"*"))
	for _, d := range old {
		if f, err := locked(d); err == nil {
			_ = os.RemoveAll(d)
			f.Close()
		}
	}
	if dir, err = os.MkdirTemp(place, prefix); err != nil {
		return "", nil, err
	}
	lock, err = locked(dir)
	return dir, lock, err
}

func locked(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// furnish makes the inside: mounts, the node's network namespace under a name, loopback, sysctls.
func furnish(work string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	type mount struct{ kind, at, options string }
	mounts := []mount{
		{"proc", "/proc", ""},
		{"sysfs", "/sys", ""},
		{"tmpfs", "/run", "mode=755"},
	}
	// What is installed on the machine (plugins, configurations) is not the node's. /tmp and /var are the host's.
	for _, l := range []string{"etc", "opt"} {
		upper, inner := filepath.Join(work, "layer", l), filepath.Join(work, "layer", l+".work")
		if err := errors.Join(os.MkdirAll(upper, 0o755), os.MkdirAll(inner, 0o755)); err != nil {
			return err
		}
		mounts = append(mounts, mount{"overlay", "/" + l, "lowerdir=/" + l + ",upperdir=" + upper + ",workdir=" + inner})
	}
	for _, m := range mounts {
		if err := unix.Mount(m.kind, m.at, m.kind, 0, m.options); err != nil {
			return fmt.Errorf("mounting %s on %s: %w", m.kind, m.at, err)
		}
	}
	_ = unix.Mount("bpf", "/sys/fs/bpf", "bpf", 0, "mode=700")
	for _, d := range []string{"/etc/cni", "/opt/cni"} {
		if err := os.RemoveAll(d); err != nil {
			return fmt.Errorf("emptying the node's %s: %w", d, err)
		}
	}
	for _, d := range []string{"/run/netns", "/run/lock", "/etc/cni/net.d", "/opt/cni/bin"} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(wiring.Path(NodeNamespace), nil, 0o444); err != nil {
		return err
	}
	if err := unix.Mount("/proc/self/ns/net", wiring.Path(NodeNamespace), "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("naming the node's network namespace: %w", err)
	}
	return wiring.Machine(NodeNamespace, nil)
}

// defaultPath is the PATH of the programs in the Box.
var defaultPath = "PATH=" + strings.Join([]string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}, ":")
