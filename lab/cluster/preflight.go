package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tsunagu-net/tsunagu/lab/cgroup"
)

// need is a program of the host that a lab runs, and the Debian package that
// has it.
type need struct{ program, pkg string }

var needs = []need{
	{"containerd", "containerd"}, {"ctr", "containerd"}, {"runc", "runc"},
	{"nft", "nftables"}, {"mount", "mount"}, {"go", "golang"},
}

// referencePlugins is where Debian has the CNI plugins.
const referencePlugins = "/usr/lib/cni"

// preflight finds out what would stop a lab later with a worse message. All
// findings come at once.
func preflight(o Options) error {
	var problems []error
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }

	if os.Getuid() != 0 {
		return errors.New("a lab makes namespaces and mounts, for which it must run as root; try sudo")
	}
	if _, err := cgroup.Detect(); err != nil {
		problems = append(problems, err)
	}
	missing := map[string]bool{}
	for _, n := range needs {
		if !installed(n.program) {
			missing[n.pkg] = true
		}
	}
	if !installed("wget") {
		o.Progress.Say("wget is not installed, so the images' shell has none that works (busybox's crashes); on Debian or Ubuntu: apt-get install -y wget")
	}
	if b, err := os.ReadFile(busyboxPath()); err != nil || bytes.Contains(b, []byte("/lib64/ld-linux")) {
		missing["busybox-static"] = true
	}
	if o.CNI == CNIBridge {
		if _, err := os.Stat(filepath.Join(referencePlugins, "ptp")); err != nil {
			missing["containernetworking-plugins"] = true
		}
	}
	if len(missing) > 0 {
		var pkgs []string
		for _, n := range append(needs, need{"", "busybox-static"}, need{"", "containernetworking-plugins"}) {
			if missing[n.pkg] {
				pkgs = append(pkgs, n.pkg)
				delete(missing, n.pkg)
			}
		}
		problem("programs are missing; on Debian or Ubuntu: apt-get install -y %s", strings.Join(pkgs, " "))
	}
	filesystems, err := os.ReadFile("/proc/filesystems")
	if err == nil && !strings.Contains(string(filesystems), "\toverlay\n") && exec.Command("modprobe", "overlay").Run() != nil {
		problem("the kernel has no overlayfs; try: modprobe overlay")
	}
	if o.Family != "ipv4" {
		if _, err := os.Stat("/proc/net/if_inet6"); err != nil {
			problem("the kernel has no IPv6; give --ip-family ipv4")
		}
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		problems = append(problems, err)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(o.Dir, &st); err == nil {
		if free := st.Bavail * uint64(st.Bsize) >> 20; free < uint64(1000+500*o.Nodes) {
			problem("%s has %d MiB free; a lab of %d nodes wants %d (--dir places it elsewhere)", o.Dir, free, o.Nodes, 1000+500*o.Nodes)
		}
		if st.Type == unix.OVERLAYFS_SUPER_MAGIC {
			problem("%s is on overlayfs, on which containerd cannot keep its layers; place the lab on a disk with --dir", o.Dir)
		}
	}
	if free := availableMemory(); free > 0 && free < 600+250*o.Nodes {
		problem("%d MiB of memory are available; a lab of %d nodes wants %d", free, o.Nodes, 600+250*o.Nodes)
	}
	return errors.Join(problems...)
}

func installed(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}

// busyboxPath must lead to the static one: images have no libraries.
func busyboxPath() string {
	p, err := exec.LookPath("busybox")
	if err != nil {
		return "busybox"
	}
	return p
}

// availableMemory is in MiB, 0 when unknown.
func availableMemory() int {
	b, _ := os.ReadFile("/proc/meminfo")
	for _, line := range strings.Split(string(b), "\n") {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "MemAvailable:" {
			kb, _ := strconv.Atoi(f[1])
			return kb >> 10
		}
	}
	return 0
}

// hostLimits are settings of the whole machine that several kubelets and
// containerds exhaust together where distributions are thrifty.
var hostLimits = []struct {
	key     string
	perNode int
	least   int
}{
	{"fs/inotify/max_user_instances", 64, 256},
	{"fs/inotify/max_user_watches", 20000, 65536},
}

// raiseLimits raises what is too low, and says so: it is the one thing a lab
// changes outside its namespaces, and it lasts until the next boot.
func raiseLimits(o Options) {
	for _, l := range hostLimits {
		file := filepath.Join("/proc/sys", l.key)
		b, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		have, _ := strconv.Atoi(strings.TrimSpace(string(b)))
		want := max(l.least, l.perNode*o.Nodes)
		if have >= want {
			continue
		}
		if err := os.WriteFile(file, []byte(strconv.Itoa(want)), 0o644); err == nil {
			o.Progress.Say("raised %s from %d to %d until the next boot", strings.ReplaceAll(l.key, "/", "."), have, want)
		}
	}
}
