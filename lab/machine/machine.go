// Package machine makes one machine of a lab out of namespaces: network, mount,
// host name and cgroup of its own, and a root file system that looks like the
// host's but whose /etc, /opt, /var, /run and /sys are private, so that what
// runs there (containerd, kubelet, DaemonSets with hostPath volumes) behaves as
// on a separate computer. Processes are numbered by the host: there is no PID
// namespace.
//
// Everything a machine has mounted is in its own mount namespace and goes with
// its last process. The package knows nothing of Kubernetes. Start at Start
// (the host's side), then child.go (the inside), then root.go.
package machine

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tsunagu-net/tsunagu/lab/cgroup"
	"github.com/tsunagu-net/tsunagu/lab/supervise"
	"github.com/tsunagu-net/tsunagu/lab/wiring"
)

// Spec is all that a machine is made from; Start writes it beside the
// machine's files, where one can read what is running.
type Spec struct {
	Lab     string            `json:"lab"`
	Name    string            `json:"name"`
	Dir     string            `json:"dir"`    // holds etc, opt, var, disk, log
	Run     string            `json:"run"`    // control socket and pid file; below /run
	Binds   []string          `json:"binds"`  // host paths that are the same inside
	Disks   []string          `json:"disks"`  // directories kept on the real file system
	Cgroup  string            `json:"cgroup"` // path below each hierarchy
	Sysctls map[string]string `json:"sysctls,omitempty"`
	// Inherited names the forwards whose listeners the child gets from its
	// parent, in the order of its file descriptors; Start fills it.
	Inherited []string `json:"inherited,omitempty"`
	supervise.Machine
}

// Namespace is the name of the machine's network namespace.
func (s Spec) Namespace() string { return s.Lab + "-" + s.Name }

// Socket is where the machine's supervisor listens.
func (s Spec) Socket() string { return filepath.Join(s.Run, s.Name+".sock") }

func (s Spec) pidFile() string  { return filepath.Join(s.Run, s.Name+".pid") }
func (s Spec) specFile() string { return filepath.Join(s.Dir, "machine.json") }

// Group is the machine's control group.
func (s Spec) Group(h cgroup.Host) cgroup.Group { return h.Group(s.Cgroup) }

// childEnv names the spec to a process that is to become a machine.
const childEnv = "TSUNAGU_LAB_MACHINE"

// Start switches a machine on. Its network namespace must exist; listeners are
// sockets of the host's network namespace for those of the spec's forwards
// that carry their address.
func Start(s Spec, h cgroup.Host, listeners map[string]net.Listener) error {
	group := s.Group(h)
	if err := group.Create(); err != nil {
		return err
	}
	if err := group.Child("init").CreateBare(); err != nil {
		return err
	}
	for _, d := range []string{s.Dir, s.LogDir, s.Run} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	s.Inherited = nil
	for _, fw := range s.Forwards {
		if listeners[fw.Listen] != nil {
			s.Inherited = append(s.Inherited, fw.Listen)
		}
	}
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.specFile(), b, 0o600); err != nil {
		return err
	}
	if err := os.Remove(s.Socket()); err != nil && !os.IsNotExist(err) {
		return err
	}
	control, err := net.Listen("unix", s.Socket())
	if err != nil {
		return err
	}
	control.(*net.UnixListener).SetUnlinkOnClose(false)
	defer control.Close()

	// Files of the child: 3 is the control socket, then those it inherits.
	var files []*os.File
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	keep := func(f *os.File, err error) error {
		if err == nil {
			files = append(files, f)
		}
		return err
	}
	if err := keep(control.(*net.UnixListener).File()); err != nil {
		return err
	}
	for _, addr := range s.Inherited {
		if err := keep(listeners[addr].(*net.TCPListener).File()); err != nil {
			return err
		}
	}

	log, err := os.OpenFile(filepath.Join(s.LogDir, "machine.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	into, err := os.Open(group.V2())
	if err != nil {
		return err
	}
	defer into.Close()

	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self)
	cmd.Args = []string{"tsunagu-lab-machine", s.Namespace()}
	cmd.Env = append(environ(), childEnv+"="+s.specFile())
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = files
	cmd.SysProcAttr = &unix.SysProcAttr{
		Setsid:     true,
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWUTS,
		// Born in the group: there is no moment at which the process exists
		// and a crash of ours would leave it unfound.
		UseCgroupFD: true,
		CgroupFD:    int(into.Fd()),
	}
	if err := wiring.In(s.Namespace(), cmd.Start); err != nil {
		return fmt.Errorf("starting machine %s: %w", s.Namespace(), err)
	}
	go cmd.Wait() //nolint:errcheck // it outlives us, or its log says why not
	start, err := startTime(cmd.Process.Pid)
	if err != nil {
		return fmt.Errorf("starting machine %s: it ended at once; see %s", s.Namespace(), log.Name())
	}
	return os.WriteFile(s.pidFile(), []byte(fmt.Sprintf("%d %s\n", cmd.Process.Pid, start)), 0o644)
}

// Path is where a machine's programs are looked for.
const Path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// environ is what a machine's programs inherit: nothing of the user's session
// that could change what they do.
func environ() []string {
	return []string{"PATH=" + Path, "HOME=/root", "LANG=C.UTF-8"}
}

// PID gives the machine's supervisor, or 0 when it is switched off. A number
// that was given to another process meanwhile is not taken for it.
func (s Spec) PID() int {
	b, err := os.ReadFile(s.pidFile())
	if err != nil {
		return 0
	}
	var pid int
	var start string
	if _, err := fmt.Sscan(string(b), &pid, &start); err != nil {
		return 0
	}
	if now, err := startTime(pid); err != nil || now != start {
		return 0
	}
	return pid
}

// startTime is field 22 of /proc/pid/stat, in ticks since boot.
func startTime(pid int) (string, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return "", err
	}
	// The second field is a name in parentheses that may contain anything.
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" {
		return "", os.ErrProcessDone
	}
	return fields[19], nil
}

// Stop switches a machine off: all its processes end at once, as when the
// power goes. Off already is success.
func Stop(s Spec, h cgroup.Host) error {
	group := s.Group(h)
	if err := group.Kill(); err != nil {
		return err
	}
	if err := group.Remove(); err != nil {
		return err
	}
	os.Remove(s.pidFile())
	os.Remove(s.Socket())
	return nil
}

// Root is the machine's root directory as the host can reach it.
func (s Spec) Root() (string, error) {
	pid := s.PID()
	if pid == 0 {
		return "", fmt.Errorf("machine %s: %w", s.Namespace(), supervise.ErrDown)
	}
	return fmt.Sprintf("/proc/%d/root", pid), nil
}

// Ready waits until the inside is built: the supervisor answers only then.
func (s Spec) Ready(until time.Time) error {
	for {
		c, err := net.Dial("unix", s.Socket())
		if err == nil {
			c.Close()
			// The socket listens from the start; the root is there when the
			// supervisor has pivoted into it.
			if _, err := os.Stat(fmt.Sprintf("/proc/%d/root%s", s.PID(), insideMark)); err == nil {
				return nil
			}
		}
		if s.PID() == 0 || time.Now().After(until) {
			return fmt.Errorf("machine %s does not come up; see %s", s.Namespace(), filepath.Join(s.LogDir, "machine.log"))
		}
		time.Sleep(5 * time.Millisecond)
	}
}
