package machine

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tsunagu-net/tsunagu/lab/cgroup"
)

// Layers are the host directories a machine sees through an overlay: what it
// writes there stays in its own directory and survives its reboot.
var layers = []string{"etc", "opt", "var"}

// hidden are directories whose host content must not shine through: another
// cluster's configuration on the host would become the node's.
var hidden = []string{
	"etc/cni", "etc/kubernetes", "etc/containerd", "opt/cni",
	"var/lib/cni", "var/lib/tsunagu", "var/lib/calico",
	"var/log/pods", "var/log/containers",
}

// insideMark is a file that only a built machine has, and a name for people who
// wonder where they are.
const insideMark = "/run/tsunagu-lab-machine"

// buildRoot gives this process's mount namespace a root of its own.
//
// The root is a small tmpfs: host directories are bound into it, except
//   - /etc, /opt, /var: overlays (see layers);
//   - /run: empty, as after a boot, so named network namespaces, sockets and
//     locks are the machine's own;
//   - /sys: a sysfs that shows the machine's network devices, with the
//     machine's cgroups as if they were the root ones, and its own bpffs;
//   - directories in Disks: on the real file system, since overlay cannot
//     carry an overlay's upper directory (containerd) and databases want
//     to see their disk.
func buildRoot(s Spec, host cgroup.Host) error {
	// Nothing mounted from here on may reach the host, nor the other way.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	// Below /run, the one place that is not bound into the new root: anywhere
	// else the tree would contain itself.
	root := filepath.Join(s.Run, s.Name+".root")
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	if err := mount("tmpfs", root, "tmpfs", 0, "mode=755,size=64m"); err != nil {
		return err
	}
	for _, l := range layers {
		if err := mountLayer(s, root, l); err != nil {
			return err
		}
	}
	if err := mount("tmpfs", filepath.Join(root, "run"), "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return err
	}
	for _, d := range []string{"run/lock", "run/netns"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(root+insideMark, []byte(s.Namespace()+"\n"), 0o644); err != nil {
		return err
	}
	if err := mountSys(root, host); err != nil {
		return err
	}
	if err := bindTop(root); err != nil {
		return err
	}
	for _, d := range s.Disks {
		at := filepath.Join(s.Dir, "disk", strings.ReplaceAll(strings.Trim(d, "/"), "/", "-"))
		if err := os.MkdirAll(at, 0o711); err != nil {
			return err
		}
		if err := bind(at, filepath.Join(root, d)); err != nil {
			return err
		}
	}
	for _, b := range s.Binds {
		if !covered(b) {
			continue // bound with its top-level directory
		}
		if err := bind(b, filepath.Join(root, b)); err != nil {
			return err
		}
	}
	if err := bindSysctls(s, root); err != nil {
		return err
	}
	return enterRoot(root)
}

// covered tells whether the machine has something private over a host path.
func covered(path string) bool {
	top := strings.SplitN(strings.TrimPrefix(path, "/"), "/", 2)[0]
	return slices.Contains(layers, top) || top == "run"
}

func mountLayer(s Spec, root, l string) error {
	upper, work := filepath.Join(s.Dir, l), filepath.Join(s.Dir, "work", l)
	for _, d := range []string{upper, work} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	for _, h := range hidden {
		if !strings.HasPrefix(h, l+"/") {
			continue
		}
		d := filepath.Join(s.Dir, h)
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
		if err := unix.Setxattr(d, "trusted.overlay.opaque", []byte("y"), 0); err != nil {
			return fmt.Errorf("hiding the host's /%s (the lab's directory must be on a file system with trusted attributes, such as ext4, xfs or btrfs): %w", h, err)
		}
	}
	lower := "/" + l
	if st, err := os.Lstat(lower); err != nil || !st.IsDir() {
		lower = filepath.Join(s.Dir, "work", "none")
		if err := os.MkdirAll(lower, 0o755); err != nil {
			return err
		}
	}
	opts := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", lower, upper, work)
	return mount("overlay", filepath.Join(root, l), "overlay", 0, opts)
}

func mountSys(root string, host cgroup.Host) error {
	sys := filepath.Join(root, "sys")
	if err := mount("sysfs", sys, "sysfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return err
	}
	// debugfs, tracefs, securityfs, configfs: the host's, where it has them.
	mounts, err := mountPoints("/sys/")
	if err != nil {
		return err
	}
	for _, m := range mounts {
		if strings.HasPrefix(m, "/sys/fs/") || strings.Count(m, "/") > 3 {
			continue
		}
		_ = unix.Mount(m, filepath.Join(root, m), "", unix.MS_BIND|unix.MS_REC, "")
	}
	_ = unix.Mount("bpf", filepath.Join(sys, "fs/bpf"), "bpf", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=700")

	if host.PureV2() {
		return mount("cgroup2", root+host.V2, "cgroup2", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	}
	if err := mount("tmpfs", filepath.Join(sys, "fs/cgroup"), "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=755"); err != nil {
		return err
	}
	for _, v1 := range host.V1 {
		if err := mount("cgroup", root+v1.Mount, "cgroup", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, v1.Options); err != nil {
			return err
		}
	}
	for at, to := range host.Links() {
		_ = os.Symlink(to, root+at)
	}
	return mount("cgroup2", root+host.V2, "cgroup2", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
}

// bindTop binds every top-level directory of the host that the machine has not
// got yet, with all below it.
func bindTop(root string) error {
	entries, err := os.ReadDir("/")
	if err != nil {
		return err
	}
	for _, e := range entries {
		to := filepath.Join(root, e.Name())
		if _, err := os.Lstat(to); err == nil {
			continue
		}
		switch {
		case e.Type()&os.ModeSymlink != 0:
			target, err := os.Readlink("/" + e.Name())
			if err != nil {
				return err
			}
			if err := os.Symlink(target, to); err != nil {
				return err
			}
		case e.IsDir():
			if err := bind("/"+e.Name(), to); err != nil {
				return err
			}
		}
	}
	return nil
}

// bindSysctls puts files over /proc/sys entries: a machine that wants to see
// (or set) them must not change the host's.
func bindSysctls(s Spec, root string) error {
	dir := filepath.Join(s.Dir, "sysctl")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for key, value := range s.Sysctls {
		at := filepath.Join(root, "proc/sys", key)
		if _, err := os.Stat(at); err != nil {
			continue // this kernel has not got it
		}
		f := filepath.Join(dir, strings.ReplaceAll(key, "/", "."))
		if err := os.WriteFile(f, []byte(value+"\n"), 0o644); err != nil {
			return err
		}
		if err := unix.Mount(f, at, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("covering /proc/sys/%s: %w", key, err)
		}
	}
	return nil
}

// enterRoot makes root the root and lets go of the old one. The new tree is
// shared within the machine, as systemd makes a real one: mounts that
// containerd makes reach the volumes of Pods.
func enterRoot(root string) error {
	old := filepath.Join(root, ".host")
	if err := os.Mkdir(old, 0o700); err != nil {
		return err
	}
	if err := unix.PivotRoot(root, old); err != nil {
		return fmt.Errorf("entering %s: %w", root, err)
	}
	if err := unix.Chdir("/"); err != nil {
		return err
	}
	if err := unix.Unmount("/.host", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leaving the host's root: %w", err)
	}
	if err := os.Remove("/.host"); err != nil {
		return err
	}
	return unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, "")
}

// mount makes the mount point and mounts on it.
func mount(source, at, fstype string, flags uintptr, data string) error {
	if err := os.MkdirAll(at, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(source, at, fstype, flags, data); err != nil {
		return fmt.Errorf("mounting %s on %s: %w", fstype, at, err)
	}
	return nil
}

func bind(from, at string) error {
	if err := os.MkdirAll(at, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(from, at, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("binding %s to %s: %w", from, at, err)
	}
	return nil
}

// mountPoints lists the mounts below a prefix, in order.
func mountPoints(prefix string) ([]string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []string
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if fields := strings.Fields(lines.Text()); len(fields) > 4 && strings.HasPrefix(fields[4], prefix) {
			out = append(out, fields[4])
		}
	}
	return out, lines.Err()
}
