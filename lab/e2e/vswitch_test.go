package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// vswitch is an Open vSwitch as the physical switch behind a segment of the
// lab: a trunk port on the lab's wire, an access port for each machine outside.
type vswitch struct {
	*testing.T
	dir string
}

// newVSwitch starts Open vSwitch, with its userspace datapath and files of its
// own, in the namespace of the lab's switch.
func newVSwitch(t *testing.T, segment string) *vswitch {
	t.Helper()
	o := &vswitch{T: t, dir: t.TempDir()}
	db, socket := filepath.Join(o.dir, "conf.db"), filepath.Join(o.dir, "db.sock")
	o.run(o.command("ovsdb-tool", "create", db, "/usr/share/openvswitch/vswitch.ovsschema"))
	o.start("ovsdb-server", db, "--remote=punix:"+socket, "--unixctl="+filepath.Join(o.dir, "db.ctl"))
	for range 500 {
		if _, err := os.Stat(socket); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	o.vsctl("--no-wait", "init")
	o.start("ovs-vswitchd", "unix:"+socket, "--unixctl="+filepath.Join(o.dir, "switch.ctl"))
	o.vsctl("add-br", "tstbr0", "--", "set", "bridge", "tstbr0", "datapath_type=netdev")
	o.ip("link add tsttrunk up type veth peer name tstwire")
	o.Cleanup(func() { o.command("ip", "link", "del", "tsttrunk").Run() })
	o.ip("link set tstwire master " + segment + " up")
	o.vsctl("add-port", "tstbr0", "tsttrunk")
	return o
}

// access puts a machine with these addresses behind a port of one VLAN. It
// returns the name of its namespace.
func (o *vswitch) access(vlan int, addresses ...string) string {
	o.Helper()
	port, ns := fmt.Sprintf("tstacc%d", vlan), fmt.Sprintf("%s-tst%d", lab.Name, vlan)
	for _, command := range []string{
		"ip netns add " + ns,
		fmt.Sprintf("nsenter --net=/var/run/netns/%s-switch ip link add %s up type veth peer name eth0 netns %s", lab.Name, port, ns),
		"ip -n " + ns + " link set lo up",
		"ip -n " + ns + " link set eth0 up",
	} {
		o.run(exec.Command("sh", "-c", command))
		if strings.HasPrefix(command, "ip netns add") {
			o.Cleanup(func() { exec.Command("ip", "netns", "del", ns).Run() })
		}
	}
	for _, a := range addresses {
		o.run(exec.Command("ip", "-n", ns, "addr", "add", a, "dev", "eth0", "nodad"))
	}
	o.vsctl("add-port", "tstbr0", port, fmt.Sprintf("tag=%d", vlan))
	return ns
}

// command runs in the namespace of the lab's switch.
func (o *vswitch) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command("nsenter", append([]string{"--net=/var/run/netns/" + lab.Name + "-switch", name}, args...)...)
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin", "OVS_RUNDIR="+o.dir, "OVS_LOGDIR="+o.dir, "OVS_DBDIR="+o.dir)
	return cmd
}

func (o *vswitch) run(cmd *exec.Cmd) {
	o.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		o.Fatalf("%v: %v: %s", cmd.Args, err, out)
	}
}

func (o *vswitch) ip(words string) { o.Helper(); o.run(o.command("ip", strings.Fields(words)...)) }

func (o *vswitch) vsctl(args ...string) {
	o.Helper()
	o.run(o.command("ovs-vsctl", append([]string{"--timeout=20", "--db=unix:" + filepath.Join(o.dir, "db.sock")}, args...)...))
}

func (o *vswitch) start(name string, args ...string) {
	o.Helper()
	cmd := o.command(name, append(args, "-vconsole:off", "-vsyslog:off", "--log-file="+filepath.Join(o.dir, name+".log"))...)
	if err := cmd.Start(); err != nil {
		o.Fatalf("%s: %v (package openvswitch-switch)", name, err)
	}
	o.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
}
