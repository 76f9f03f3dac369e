// Package cluster makes, changes and removes labs: real Kubernetes clusters of
// several nodes on one machine. It puts the parts together (plan, pki, build,
// image, wiring, machine) and is what the command line and tests call; it knows
// nothing of tsunagu, which is installed into a lab like into any cluster.
//
// Start at Up. Files of a lab are in <root>/.lab/<name>: kubeconfig, lab.json
// (what was asked for), pki, and nodes/<node> with the node's own files, logs
// and machine.json (what exactly runs).
package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tsunagu-net/tsunagu/lab/cgroup"
	"github.com/tsunagu-net/tsunagu/lab/machine"
	"github.com/tsunagu-net/tsunagu/lab/plan"
	"github.com/tsunagu-net/tsunagu/lab/supervise"
	"github.com/tsunagu-net/tsunagu/lab/wiring"
)

// Cluster is a lab that is up, or at least was begun.
type Cluster struct {
	dir   string // .lab/<name>
	plan  plan.Plan
	host  cgroup.Host
	state state
	say   *Progress
}

// switchName is the namespace of the bridges, beside those of the machines.
const switchName = "switch"

// runDir holds what must not outlive a reboot of the machine: sockets, process
// numbers, and where each lab's files are.
const runDir = "/run/tsunagu-lab"

// ErrNoLab says that there is no lab of that name.
var ErrNoLab = errors.New("no such lab")

// MainIfChild must be the first call of every program that makes labs, in
// tests of TestMain; see machine.MainIfChild.
func MainIfChild() {
	machine.MainIfChild()
	// A user's PATH often lacks the directories of administrators, where nft is.
	os.Setenv("PATH", os.Getenv("PATH")+":"+machine.Path)
}

// Open finds a lab by name: the one below root (as Root finds it, when empty),
// or one that is running from elsewhere.
func Open(root, name string, say *Progress) (*Cluster, error) {
	if err := plan.CheckName("lab", name); err != nil {
		return nil, err
	}
	if root == "" {
		if b, err := os.ReadFile(filepath.Join(runDir, name, "root")); err == nil {
			root = string(b)
		} else if root, err = Root("."); err != nil {
			return nil, err
		}
	}
	dir := filepath.Join(root, ".lab", name)
	s, err := readState(dir)
	if absent(err) {
		return nil, fmt.Errorf("lab %q below %s: %w; make it with: lab up --name %s", name, root, ErrNoLab, name)
	}
	if err != nil {
		return nil, err
	}
	return assemble(dir, s, say)
}

func assemble(dir string, s state, say *Progress) (*Cluster, error) {
	p, err := plan.New(s.Options.Name, s.Options.Family)
	if err != nil {
		return nil, err
	}
	h, err := cgroup.Detect()
	if err != nil {
		return nil, err
	}
	return &Cluster{dir: dir, plan: p, host: h, state: s, say: say}, nil
}

// Names lists the labs of this machine: those running, and those with files
// below root.
func Names(root string) []string {
	seen := map[string]bool{}
	entries, _ := os.ReadDir(runDir)
	for _, e := range entries {
		if e.IsDir() {
			seen[e.Name()] = true
		}
	}
	if h, err := cgroup.Detect(); err == nil {
		entries, _ = os.ReadDir(h.Group(topGroup).V2())
		for _, e := range entries {
			if e.IsDir() {
				seen[e.Name()] = true
			}
		}
	}
	entries, _ = os.ReadDir(filepath.Join(root, ".lab"))
	for _, e := range entries {
		if _, err := os.Stat(filepath.Join(root, ".lab", e.Name(), "lab.json")); err == nil {
			seen[e.Name()] = true
		}
	}
	var out []string
	for n := range seen {
		if plan.CheckName("lab", n) == nil {
			out = append(out, n)
		}
	}
	sort.Strings(out)
	return out
}

// Name is the lab's name.
func (c *Cluster) Name() string { return c.state.Options.Name }

// Dir is the directory of the lab's files.
func (c *Cluster) Dir() string { return c.dir }

// Kubeconfig is the administrator's, for use on this machine.
func (c *Cluster) Kubeconfig() string { return filepath.Join(c.dir, "kubeconfig") }

// Bin is the directory of kubectl and the other programs.
func (c *Cluster) Bin() string { return filepath.Join(filepath.Dir(c.dir), "bin") }

// Plan is the lab's addressing.
func (c *Cluster) Plan() plan.Plan { return c.plan }

// Nodes are the lab's nodes.
func (c *Cluster) Nodes() []Node { return append([]Node(nil), c.state.Nodes...) }

// Namespace is the network namespace of a node, of "outside" or of "switch".
func (c *Cluster) Namespace(machine string) string { return c.Name() + "-" + machine }

func (c *Cluster) wires() wiring.Switch { return wiring.Switch{Namespace: c.Namespace(switchName)} }

func (c *Cluster) runDir() string { return filepath.Join(runDir, c.Name()) }

func (c *Cluster) nodeDir(node string) string { return filepath.Join(c.dir, "nodes", node) }

// lock keeps two commands from changing one lab at a time. The kernel lets go
// of it when the holder dies, however that happens; that takes a moment, for
// which it waits.
func lock(name string) (func(), error) {
	deadline := time.Now().Add(3 * time.Second)
	if err := os.MkdirAll(runDir, 0o755); err != nil {
		return nil, err
	}
	path := filepath.Join(runDir, name+".lock")
	for {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, err
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			b := make([]byte, 20)
			n, _ := f.Read(b)
			f.Close()
			if time.Now().Before(deadline) {
				time.Sleep(20 * time.Millisecond)
				continue
			}
			return nil, fmt.Errorf("lab %s is being changed by process %s; wait for it, or end it", name, strings.TrimSpace(string(b[:n])))
		}
		// The holder before us may have removed the file we opened.
		mine, err1 := f.Stat()
		there, err2 := os.Stat(path)
		if err1 == nil && err2 == nil && os.SameFile(mine, there) {
			_ = f.Truncate(0)
			_, _ = f.WriteString(strconv.Itoa(os.Getpid()) + "\n")
			return func() {
				os.Remove(path)
				f.Close()
				os.Remove(runDir)
			}, nil
		}
		f.Close()
	}
}

// machine gives the spec of a machine as it was started.
func (c *Cluster) machine(name string) (machine.Spec, error) {
	if _, ok := c.state.node(name); ok || name == plan.Outside {
		return c.spec(name)
	}
	var names []string
	for _, n := range c.state.Nodes {
		names = append(names, n.Name)
	}
	return machine.Spec{}, fmt.Errorf("lab %s has no machine %q; it has %s and %s", c.Name(), name, strings.Join(names, ", "), plan.Outside)
}

func (c *Cluster) supervisor(m machine.Spec) supervise.Client {
	return supervise.Client{Socket: m.Socket()}
}

// Address gives the first address of a node.
func (c *Cluster) Address(node string) (netip.Addr, error) {
	n, ok := c.state.node(node)
	if !ok {
		return netip.Addr{}, fmt.Errorf("lab %s has no node %q", c.Name(), node)
	}
	return n.Addresses[0].Addr(), nil
}

// Component applies a verb of supervise.Verbs to a program of a machine.
func (c *Cluster) Component(ctx context.Context, machine, component, verb string) error {
	m, err := c.machine(machine)
	if err != nil {
		return err
	}
	if err := c.supervisor(m).Do(ctx, component, verb); err != nil {
		return fmt.Errorf("on %s: %w", m.Namespace(), err)
	}
	return nil
}
