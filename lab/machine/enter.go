package machine

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/tsunagu-net/tsunagu/lab/cgroup"
	"github.com/tsunagu-net/tsunagu/lab/supervise"
	"github.com/tsunagu-net/tsunagu/lab/wiring"
)

// namespaces are those a machine has of its own; mount comes last, since the
// others are opened through the host's /proc.
var namespaces = []struct {
	file string
	kind int
}{
	{"net", unix.CLONE_NEWNET},
	{"uts", unix.CLONE_NEWUTS},
	{"cgroup", unix.CLONE_NEWCGROUP},
	{"mnt", unix.CLONE_NEWNS},
}

// enter moves the calling thread, and only it, into the machine. The caller
// has locked it and will not give it back.
func (s Spec) enter() error {
	pid := s.PID()
	if pid == 0 {
		return fmt.Errorf("entering %s: %w", s.Namespace(), supervise.ErrDown)
	}
	// The root of a mount namespace need not be that of its processes: when the
	// host itself is in a chroot, the one below is still there.
	root, err := unix.Open(fmt.Sprintf("/proc/%d/root", pid), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("entering %s: %w", s.Namespace(), err)
	}
	defer unix.Close(root)
	// Threads of a process share root and working directory, and a thread that
	// shares them may not change its mount namespace.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("entering %s: %w", s.Namespace(), err)
	}
	for _, ns := range namespaces {
		f, err := os.Open(fmt.Sprintf("/proc/%d/ns/%s", pid, ns.file))
		if err != nil {
			return fmt.Errorf("entering %s: %w", s.Namespace(), err)
		}
		err = unix.Setns(int(f.Fd()), ns.kind)
		f.Close()
		if err != nil {
			return fmt.Errorf("entering %s namespace of %s: %w", ns.file, s.Namespace(), err)
		}
	}
	if err := unix.Fchdir(root); err != nil {
		return fmt.Errorf("entering the root of %s: %w", s.Namespace(), err)
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("entering the root of %s: %w", s.Namespace(), err)
	}
	return nil
}

// Inside starts a command in the machine; it is one of the machine's
// processes, and dies with it. A relative working directory is meaningless
// there, so it is "/" unless the command says otherwise.
func (s Spec) Inside(h cgroup.Host, cmd *exec.Cmd) error {
	into, err := os.Open(s.Group(h).Child("init").V2())
	if err != nil {
		return fmt.Errorf("entering %s: %w", s.Namespace(), supervise.ErrDown)
	}
	defer into.Close()
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &unix.SysProcAttr{}
	}
	cmd.SysProcAttr.UseCgroupFD = true
	cmd.SysProcAttr.CgroupFD = int(into.Fd())
	if cmd.Dir == "" {
		cmd.Dir = "/"
	}
	return wiring.OnThread(func() error {
		if err := s.enter(); err != nil {
			return err
		}
		return cmd.Start()
	})
}

// Become turns this process into a command in the machine: terminal, signals
// and exit code need no go-between. It returns only when that did not work.
func (s Spec) Become(h cgroup.Host, argv []string, env []string) error {
	runtime.LockOSThread()
	if err := s.Group(h).Child("init").Add(os.Getpid()); err != nil {
		return fmt.Errorf("entering %s: %w", s.Namespace(), err)
	}
	if err := s.enter(); err != nil {
		return err
	}
	if err := unix.Chdir("/"); err != nil {
		return err
	}
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return err
	}
	return fmt.Errorf("running %s: %w", path, unix.Exec(path, argv, env))
}
