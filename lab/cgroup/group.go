package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Group is the same path in every hierarchy of the host.
type Group struct {
	host Host
	path string
}

// Group names a group; it may or may not exist.
func (h Host) Group(elem ...string) Group {
	return Group{host: h, path: filepath.Join(elem...)}
}

// Child is a group below this one.
func (g Group) Child(name string) Group {
	return Group{host: g.host, path: filepath.Join(g.path, name)}
}

// V2 is the group's directory in the v2 hierarchy.
func (g Group) V2() string { return filepath.Join(g.host.V2, g.path) }

// Exists asks the v2 hierarchy, where every process of a lab is.
func (g Group) Exists() bool {
	_, err := os.Stat(g.V2())
	return err == nil
}

// Create makes the group and its parents in every hierarchy. On a pure v2 host
// the parents hand all their controllers down; below a v1 cpuset they hand
// down CPUs and memory nodes, without which no process can join.
func (g Group) Create() error { return g.create(true) }

// CreateBare makes the group below an existing one that keeps its controllers
// to itself for now: a v2 group that hands any down cannot hold processes.
func (g Group) CreateBare() error { return g.create(false) }

func (g Group) create(controllers bool) error {
	for _, v1 := range g.host.V1 {
		if err := makeV1(v1.Mount, g.path); err != nil {
			return fmt.Errorf("creating cgroup %s in %s: %w", g.path, v1.Mount, err)
		}
	}
	dir := g.host.V2
	for _, name := range strings.Split(g.path, "/") {
		if g.host.PureV2() && controllers {
			if err := handDown(dir); err != nil {
				return fmt.Errorf("enabling controllers of %s for its children: %w", dir, err)
			}
		}
		dir = filepath.Join(dir, name)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("creating cgroup: %w", err)
		}
	}
	return nil
}

func makeV1(mount, path string) error {
	dir := mount
	for _, name := range strings.Split(path, "/") {
		parent := dir
		dir = filepath.Join(dir, name)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		for _, f := range []string{"cpuset.cpus", "cpuset.mems"} {
			have, err := os.ReadFile(filepath.Join(dir, f))
			if err != nil || len(strings.TrimSpace(string(have))) > 0 {
				continue // not the cpuset hierarchy, or filled already
			}
			from, err := os.ReadFile(filepath.Join(parent, f))
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, f), from, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// handDown enables every controller of dir for its children.
func handDown(dir string) error {
	have, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return err
	}
	for _, c := range strings.Fields(string(have)) {
		// One at a time: a controller that cannot be enabled (rdma, misc in
		// some setups) must not keep the others away.
		err = os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+c), 0o644)
		if err != nil && (c == "cpu" || c == "memory" || c == "pids") {
			return err
		}
	}
	return nil
}

// HandDown enables the group's controllers for groups below it (v2 only).
func (g Group) HandDown() error {
	if !g.host.PureV2() {
		return nil
	}
	return handDown(g.V2())
}

// Add moves a process into the group, in every hierarchy.
func (g Group) Add(pid int) error {
	dirs := []string{g.V2()}
	for _, v1 := range g.host.V1 {
		dirs = append(dirs, filepath.Join(v1.Mount, g.path))
	}
	for _, d := range dirs {
		if err := os.WriteFile(filepath.Join(d, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0o644); err != nil {
			return fmt.Errorf("moving process %d into cgroup %s: %w", pid, d, err)
		}
	}
	return nil
}

// Procs lists the processes in the group and below it.
func (g Group) Procs() ([]int, error) {
	var pids []int
	err := filepath.WalkDir(g.V2(), func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		}
		b, err := os.ReadFile(filepath.Join(p, "cgroup.procs"))
		if err != nil {
			return nil // removed while walking
		}
		for _, f := range strings.Fields(string(b)) {
			// 0 is a process of a foreign PID namespace.
			if pid, err := strconv.Atoi(f); err == nil && pid > 0 {
				pids = append(pids, pid)
			}
		}
		return nil
	})
	return pids, err
}

// Freeze stops or resumes every process of the group, as if the machine hung.
func (g Group) Freeze(on bool) error {
	b := []byte("0")
	if on {
		b = []byte("1")
	}
	if err := os.WriteFile(filepath.Join(g.V2(), "cgroup.freeze"), b, 0o644); err != nil {
		return fmt.Errorf("freezing cgroup %s: %w", g.path, err)
	}
	return nil
}

// Frozen tells whether Freeze(true) is in force.
func (g Group) Frozen() bool {
	b, _ := os.ReadFile(filepath.Join(g.V2(), "cgroup.freeze"))
	return strings.TrimSpace(string(b)) == "1"
}

// Kill ends every process of the group and waits until they are gone. A group
// that does not exist has none.
func (g Group) Kill() error {
	deadline := time.Now().Add(20 * time.Second)
	for {
		if !g.Exists() {
			return nil
		}
		_ = os.WriteFile(filepath.Join(g.V2(), "cgroup.freeze"), []byte("0"), 0o644)
		// cgroup.kill takes those that fork meanwhile, too; kernels before 5.14
		// do not have it, there repeating does.
		if os.WriteFile(filepath.Join(g.V2(), "cgroup.kill"), []byte("1"), 0o644) != nil {
			pids, _ := g.Procs()
			for _, pid := range pids {
				_ = unix.Kill(pid, unix.SIGKILL)
			}
		}
		for range 50 {
			pids, err := g.Procs()
			if err != nil {
				return fmt.Errorf("listing processes of cgroup %s: %w", g.path, err)
			}
			if len(pids) == 0 {
				return nil
			}
			time.Sleep(10 * time.Millisecond)
		}
		if time.Now().After(deadline) {
			pids, _ := g.Procs()
			return fmt.Errorf("killing processes of cgroup %s: %v are still there after 20 s", g.path, pids)
		}
	}
}

// Remove deletes the group and all below it, in every hierarchy. Absent is
// success.
func (g Group) Remove() error {
	var last error
	for range 200 {
		last = removeTree(g.V2())
		for _, v1 := range g.host.V1 {
			if err := removeTree(filepath.Join(v1.Mount, g.path)); err != nil {
				last = err
			}
		}
		if last == nil {
			return nil
		}
		time.Sleep(20 * time.Millisecond) // the kernel lets go of the dead a little later
	}
	return fmt.Errorf("removing cgroup %s: %w", g.path, last)
}

func removeTree(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeTree(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// RemoveIfEmpty deletes the group when nothing is below it.
func (g Group) RemoveIfEmpty() {
	_ = os.Remove(g.V2())
	for _, v1 := range g.host.V1 {
		_ = os.Remove(filepath.Join(v1.Mount, g.path))
	}
}
