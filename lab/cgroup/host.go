// Package cgroup gives each node of a lab a control group that looks, from
// inside, like a machine's root: it is how a node's processes are told from
// everybody else's, killed together, frozen together, and how a node's agents
// can attach eBPF at "the root" without reaching the host.
//
// It works on pure v2 hosts and on hybrid ones (v1 controllers, v2 mounted
// beside them), which differ in where controllers live but not in this: every
// process of a node is in the node's v2 group. It knows nothing of Kubernetes.
// Start at Detect, then Group.
package cgroup

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Hierarchy is one mounted v1 hierarchy.
type Hierarchy struct {
	Mount   string // where the host has it
	Options string // what mounts it again: "cpu,cpuacct", "none,name=systemd"
}

// Host says how cgroups are mounted on this machine.
type Host struct {
	V2 string      // mount point of the v2 hierarchy
	V1 []Hierarchy // empty on a pure v2 host
}

// PureV2 tells whether the controllers are in the v2 hierarchy.
func (h Host) PureV2() bool { return len(h.V1) == 0 }

// Detect reads this process's own mount table.
func Detect() (Host, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return Host{}, err
	}
	defer f.Close()
	return parse(f)
}

func parse(mountinfo io.Reader) (Host, error) {
	var h Host
	seen := map[string]bool{}
	lines := bufio.NewScanner(mountinfo)
	for lines.Scan() {
		// 36 35 98:0 /root /mount opts tag:1 - type source superopts
		before, after, ok := strings.Cut(lines.Text(), " - ")
		if !ok {
			continue
		}
		front, back := strings.Fields(before), strings.Fields(after)
		if len(front) < 5 || len(back) < 3 || !strings.HasPrefix(front[4], "/sys/fs/cgroup") {
			continue
		}
		switch back[0] {
		case "cgroup2":
			if h.V2 == "" {
				h.V2 = front[4]
			}
		case "cgroup":
			opts := mountOptions(back[2])
			if opts != "" && !seen[opts] {
				seen[opts] = true
				h.V1 = append(h.V1, Hierarchy{Mount: front[4], Options: opts})
			}
		}
	}
	if err := lines.Err(); err != nil {
		return Host{}, fmt.Errorf("reading the mount table: %w", err)
	}
	if h.V2 == "" {
		return Host{}, fmt.Errorf("no cgroup v2 hierarchy below /sys/fs/cgroup; on a v1 host mount it beside the others: mkdir /sys/fs/cgroup/unified && mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified")
	}
	return h, nil
}

// mountOptions keeps the super options that select a v1 hierarchy.
func mountOptions(super string) string {
	var keep []string
	named := false
	for _, o := range strings.Split(super, ",") {
		switch {
		case strings.HasPrefix(o, "name="):
			named = true
			keep = append(keep, o)
		case o == "rw", o == "ro", o == "xattr", o == "clone_children", o == "noprefix", o == "cpuset_v2_mode",
			strings.HasPrefix(o, "release_agent="), o == "":
		default:
			keep = append(keep, o)
		}
	}
	if named {
		keep = append([]string{"none"}, keep...)
	}
	return strings.Join(keep, ",")
}

// Links finds the symbolic links beside v1 mounts ("cpu" to "cpu,cpuacct").
func (h Host) Links() map[string]string {
	out := map[string]string{}
	entries, _ := os.ReadDir("/sys/fs/cgroup")
	for _, e := range entries {
		if e.Type()&os.ModeSymlink != 0 {
			p := filepath.Join("/sys/fs/cgroup", e.Name())
			if to, err := os.Readlink(p); err == nil {
				out[p] = to
			}
		}
	}
	return out
}
