package machine

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/lab/cgroup"
	"github.com/tsunagu-net/tsunagu/lab/supervise"
	"github.com/tsunagu-net/tsunagu/lab/wiring"
)

func TestMain(m *testing.M) {
	MainIfChild()
	os.Exit(m.Run())
}

// Namespace tier: a machine looks like one from inside, touches nothing
// outside, keeps its files over a reboot, and leaves nothing when it is off.
func TestAMachine(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIP: needs root to make namespaces and mounts")
	}
	host, err := cgroup.Detect()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := Spec{
		Lab: "tlmach", Name: "one", Dir: dir, Run: "/run/tsunagu-lab/tlmach",
		Disks:   []string{"/var/lib/containerd"},
		Cgroup:  "tsunagu-lab/tlmach/one",
		Sysctls: map[string]string{"kernel/panic": "4711"},
		Machine: supervise.Machine{LogDir: filepath.Join(dir, "log"), Components: []supervise.Component{
			{Name: "sleeper", Argv: []string{"sleep", "100000"}},
		}},
	}
	start := func() {
		t.Helper()
		if err := wiring.CreateNamespace(s.Namespace()); err != nil {
			t.Fatal(err)
		}
		if err := Start(s, host, nil); err != nil {
			t.Fatal(err)
		}
		if err := s.Ready(time.Now().Add(10 * time.Second)); err != nil {
			b, _ := os.ReadFile(filepath.Join(dir, "log", "machine.log"))
			t.Fatalf("%v\n%s", err, b)
		}
	}
	stop := func() {
		t.Helper()
		if err := Stop(s, host); err != nil {
			t.Fatal(err)
		}
		if err := wiring.DeleteNamespace(s.Namespace()); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		stop()
		host.Group("tsunagu-lab", "tlmach").RemoveIfEmpty()
		host.Group("tsunagu-lab").RemoveIfEmpty()
		wiring.TidyUp()
		if err := os.RemoveAll(s.Run); err != nil {
			t.Error(err)
		}
		os.Remove(filepath.Dir(s.Run))
	})
	inside := func(script string) string {
		t.Helper()
		cmd := exec.Command("sh", "-c", script)
		var out strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := s.Inside(host, cmd); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Fatalf("%s: %v\n%s", script, err, out.String())
		}
		return strings.TrimSpace(out.String())
	}

	start()
	for script, want := range map[string]string{
		"hostname":                              "one",
		"ls /sys/class/net":                     "lo",
		"cat /proc/sys/kernel/panic":            "4711",
		"cat " + insideMark:                     "tlmach-one",
		"ls /run/netns":                         "",
		"ls /etc/cni /opt/cni":                  "/etc/cni:\n\n/opt/cni:",
		"grep ^0: /proc/self/cgroup":            "0::/init",
		"grep -c one.root /proc/mounts || true": "0",
		"findmnt -no PROPAGATION /":             "shared",
		"findmnt -no FSTYPE /sys/fs/bpf":        "bpf",
		// What a node's agent would attach to is the machine's group alone.
		"cat " + host.V2 + "/cgroup.procs | wc -l":                                   "0",
		"echo mine > /etc/tl-mine; mkdir -p /opt/tl-mine /usr/bin; cat /etc/tl-mine": "mine",
	} {
		if got := inside(script); got != want {
			t.Errorf("%s: want %q, have %q", script, want, got)
		}
	}
	if _, err := os.Stat("/etc/tl-mine"); err == nil {
		t.Error("a file that the machine wrote is in the host's /etc")
	}
	b, _ := os.ReadFile("/proc/sys/kernel/panic")
	if strings.TrimSpace(string(b)) == "4711" {
		t.Error("the machine's sysctl is the host's")
	}
	mounts, _ := os.ReadFile("/proc/self/mounts")
	if strings.Contains(string(mounts), dir) {
		t.Error("the machine's mounts are in the host's namespace")
	}
	rep, err := supervise.Client{Socket: s.Socket()}.Status(context.Background())
	if err != nil || len(rep.Components) != 1 || rep.PID != s.PID() {
		t.Errorf("status: %+v, %v (supervisor is %d)", rep, err, s.PID())
	}

	stop()
	if s.PID() != 0 {
		t.Error("the machine is off and has a process")
	}
	if s.Group(host).Exists() {
		t.Error("the machine is off and has a cgroup")
	}
	if err := s.Inside(host, exec.Command("true")); err == nil {
		t.Error("entered a machine that is off")
	}

	start() // a reboot
	if got := inside("cat /etc/tl-mine; ls -d /opt/tl-mine"); got != "mine\n/opt/tl-mine" {
		t.Errorf("after a reboot the machine's files are %q", got)
	}
}

func TestANumberThatWasReused(t *testing.T) {
	s := Spec{Lab: "x", Name: "y", Run: t.TempDir()}
	if s.PID() != 0 {
		t.Error("a machine that never was has a process")
	}
	// Our own process, but started at another time.
	if err := os.WriteFile(s.pidFile(), []byte("1 999999999999\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if s.PID() != 0 {
		t.Error("process 1 was taken for the machine")
	}
}
