package kind

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// vswitch is an Open vSwitch of a test's own: its processes, its database, its userspace datapath, in one namespace.
type vswitch struct {
	testing.TB
	ns  *netns.Namespace
	dir string
}

func newVSwitch(t testing.TB, ns *netns.Namespace) *vswitch {
	t.Helper()
	o := &vswitch{TB: t, ns: ns, dir: t.TempDir()}
	db := filepath.Join(o.dir, "conf.db")
	o.run("ovsdb-tool", "create", db, "/usr/share/openvswitch/vswitch.ovsschema")
	o.start("ovsdb-server", db, "--remote=punix:"+o.socket(), "--unixctl="+filepath.Join(o.dir, "db.ctl"))
	o.await(func() bool { _, err := os.Stat(o.socket()); return err == nil })
	o.vsctl("--no-wait", "init")
	o.start("ovs-vswitchd", "unix:"+o.socket(), "--unixctl="+filepath.Join(o.dir, "switch.ctl"))
	o.vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev")
	return o
}

func (o *vswitch) socket() string { return filepath.Join(o.dir, "db.sock") }

func (o *vswitch) command(name string, args ...string) *exec.Cmd {
	if path, err := exec.LookPath(name); err == nil {
		name = path
	} else {
		name = "/usr/sbin/" + name // Debian's place for daemons, not in everybody's PATH
	}
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "OVS_RUNDIR="+o.dir, "OVS_LOGDIR="+o.dir, "OVS_DBDIR="+o.dir)
	return cmd
}

func (o *vswitch) run(name string, args ...string) {
	o.Helper()
	if out, err := o.command(name, args...).CombinedOutput(); err != nil {
		o.Fatalf("%s %v: %v: %s (package openvswitch-switch)", name, args, err, out)
	}
}

func (o *vswitch) vsctl(args ...string) {
	o.Helper()
	o.run("ovs-vsctl", append([]string{"--timeout=20", "--db=unix:" + o.socket()}, args...)...)
}

// start runs a daemon in the namespace until the test ends.
func (o *vswitch) start(name string, args ...string) {
	o.Helper()
	cmd := o.command(name, append(args, "-vconsole:off", "-vsyslog:off", "--log-file="+filepath.Join(o.dir, name+".log"))...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := o.ns.Do(cmd.Start); err != nil {
		o.Fatalf("%s: %v (package openvswitch-switch)", name, err)
	}
	o.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if log, err := os.ReadFile(filepath.Join(o.dir, name+".log")); err == nil && o.Failed() {
			o.Logf("%s:\n%s", name, log)
		}
	})
}

func (o *vswitch) await(what func() bool) {
	o.Helper()
	for range 500 {
		if what() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	o.Fatal("Open vSwitch does not start")
}

// port puts an interface of the namespace on the switch; options such as "tag=120" make it an access port.
func (o *vswitch) port(name string, options ...string) {
	o.Helper()
	args := append([]string{"add-port", "br0", name}, options...)
	o.vsctl(append(args, "--", "set", "interface", name, "mtu_request=9100")...)
}

// plainFrames makes an interface of a namespace do its checksums and segments itself: the userspace datapath does neither.
func plainFrames(t testing.TB, ns *netns.Namespace, name string) {
	t.Helper()
	const setTxChecksum, setSegments, setGeneric = 0x17, 0x1f, 0x24 // ETHTOOL_STXCSUM, STSO, SGSO of linux/ethtool.h
	err := ns.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		for _, what := range []uint32{setTxChecksum, setSegments, setGeneric} {
			value := struct{ what, on uint32 }{what, 0}
			var request struct {
				name [unix.IFNAMSIZ]byte
				data unsafe.Pointer
				_    [16]byte
			}
			copy(request.name[:], name)
			request.data = unsafe.Pointer(&value)
			if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request))); errno != 0 {
				return fmt.Errorf("ethtool %#x of %s: %w", what, name, errno)
			}
		}
		return nil
	})
	if err != nil && !strings.Contains(err.Error(), "not supported") {
		t.Fatal(err)
	}
}
