package drive

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Processes finds the processes of a program that run in a node's network
// namespace: nodes share the machine's process ids, so the namespace is what
// tells one node's agent from another's, and one lab's from another's.
func (l Lab) Processes(node, program string) ([]int, error) {
	home, err := os.Stat(filepath.Join("/run/netns", l.Name+"-"+node))
	if err != nil {
		return nil, fmt.Errorf("network namespace of node %s: %w", node, err)
	}
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	var found []int
	for _, dir := range dirs {
		exe, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil {
			continue // it ended
		}
		name, _, _ := strings.Cut(string(exe), "\x00")
		if filepath.Base(name) != program {
			continue
		}
		ns, err := os.Stat(filepath.Join(dir, "ns/net"))
		if err != nil || !os.SameFile(ns, home) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(dir)); err == nil {
			found = append(found, pid)
		}
	}
	return found, nil
}

// Kill sends SIGKILL to a node's processes of a program and says how many
// there were.
func (l Lab) Kill(node, program string) (int, error) {
	pids, err := l.Processes(node, program)
	if err != nil {
		return 0, err
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
			return 0, fmt.Errorf("killing %s (%d) on %s: %w", program, pid, node, err)
		}
	}
	return len(pids), nil
}

// RSS is the resident memory of a process in MiB.
func RSS(pid int) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for _, line := range strings.Split(string(status), "\n") {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 64)
			return kib / 1024, err
		}
	}
	return 0, fmt.Errorf("no VmRSS in the status of process %d", pid)
}
