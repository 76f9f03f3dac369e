package cluster

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tsunagu-net/tsunagu/lab/build"
	"github.com/tsunagu-net/tsunagu/lab/machine"
	"github.com/tsunagu-net/tsunagu/lab/plan"
	"github.com/tsunagu-net/tsunagu/lab/supervise"
	"github.com/tsunagu-net/tsunagu/lab/wiring"
)

// topGroup is the cgroup of all labs.
const topGroup = "tsunagu-lab"

// spec renders a machine from the lab's state; it is the same for a first start
// and for every later one.
func (c *Cluster) spec(name string) (machine.Spec, error) {
	cache, err := build.Cache()
	if err != nil {
		return machine.Spec{}, err
	}
	dir := c.nodeDir(name)
	m := machine.Spec{
		Lab:    c.Name(),
		Name:   name,
		Dir:    dir,
		Run:    c.runDir(),
		Binds:  []string{cache, c.state.Options.Dir},
		Cgroup: filepath.Join(topGroup, c.Name(), name),
		Machine: supervise.Machine{
			LogDir: filepath.Join(dir, "log"),
		},
	}
	if o := c.state.Options; o.VIP != "" && !strings.HasPrefix(o.vipProgram(), o.Dir+"/") {
		m.Binds = append(m.Binds, filepath.Dir(o.vipProgram()))
	}
	if name == plan.Outside {
		m.Machine.Components = outsideComponents(c.state)
		m.Machine.Forwards = []supervise.Forward{{Listen: fmt.Sprintf("127.0.0.1:%d", c.state.Port), Targets: apiTargets(c.state)}}
		return m, nil
	}
	n, _ := c.state.node(name)
	m.Disks = []string{"/var/lib/containerd", "/var/lib/kubelet"}
	m.Sysctls = map[string]string{"kernel/random/boot_id": bootID()}
	for k, v := range tunables {
		m.Sysctls[k] = v
	}
	m.Machine.Components = nodeComponents(c.state, n)
	m.Machine.Forwards = forwards(c.state, n)
	if n.ControlPlane {
		m.Disks = append(m.Disks, "/var/lib/etcd")
		m.Machine.Components = append(controlPlane(c.state, c.plan, n), m.Machine.Components...)
	}
	return m, nil
}

// bootID is new with every start of a node, which is how a kubelet sees that
// its machine was rebooted.
func bootID() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// nodeFiles writes a node's configuration, once in its life.
func (c *Cluster) nodeFiles(a authorities, n Node) error {
	if err := c.nodeCertificates(a, n); err != nil {
		return err
	}
	files := map[string]string{
		containerdConfig: containerdTOML(),
		kubeletConfig:    kubeletYAML(c.plan),
		proxyConfig:      proxyYAML(c.plan),
	}
	if err := c.writeFiles(n.Name, files); err != nil {
		return err
	}
	for _, d := range []string{"etc/kubernetes/manifests", "etc/cni/net.d", "opt/cni/bin"} {
		if err := os.MkdirAll(filepath.Join(c.nodeDir(n.Name), d), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// writeFiles writes into a machine's own part of the file tree before it is
// started, together with what every machine has in /etc.
func (c *Cluster) writeFiles(machine string, files map[string]string) error {
	id := sha256.Sum256([]byte(c.dir + "\x00" + machine + "\x00" + c.Name()))
	hosts := "127.0.0.1 localhost\n::1 localhost\n"
	for _, n := range c.state.Nodes {
		for _, ip := range n.IPs() {
			hosts += ip.String() + " " + n.Name + "\n"
		}
	}
	resolv := ""
	for _, ip := range c.plan.Gateway() {
		resolv += "nameserver " + ip.String() + "\n"
	}
	all := map[string]string{
		"/etc/hostname":    machine + "\n",
		"/etc/machine-id":  hex.EncodeToString(id[:16]) + "\n",
		"/etc/hosts":       hosts,
		"/etc/resolv.conf": resolv,
	}
	for k, v := range files {
		all[k] = v
	}
	for path, text := range all {
		at := filepath.Join(c.nodeDir(machine), path)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(at, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// powerOn makes a machine's namespace, wires it and starts it. Everything it
// makes can be found by down from the mark it leaves first.
func (c *Cluster) powerOn(name string, index int, addresses []netip.Prefix) error {
	if err := c.mark(name); err != nil {
		return err
	}
	m, err := c.spec(name)
	if err != nil {
		return err
	}
	// What is left of an earlier life, or of half a start.
	if err := c.powerOff(name); err != nil {
		return err
	}
	ns := c.Namespace(name)
	if err := wiring.CreateNamespace(ns); err != nil {
		return err
	}
	var far []netip.Prefix
	if name == plan.Outside {
		far = c.plan.Far()
	}
	if err := wiring.Machine(ns, far); err != nil {
		return fmt.Errorf("preparing namespace %s: %w", ns, err)
	}
	for _, seg := range plan.Segments {
		port := wiring.Port{Machine: name, Namespace: ns, Segment: string(seg), MAC: c.plan.MAC(seg, index)}
		switch {
		case name == plan.Outside:
			port.Addresses = c.plan.OutsideOn(seg)
		case seg == plan.Eth0:
			port.Addresses = addresses
		default:
			port.Bare = true
		}
		if err := c.wires().Plug(port); err != nil {
			return err
		}
	}
	listeners := map[string]net.Listener{}
	if name == plan.Outside {
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", c.state.Port))
		if err != nil {
			return fmt.Errorf("offering the API on this machine: %w", err)
		}
		defer ln.Close()
		listeners[ln.Addr().String()] = ln
	} else {
		for _, via := range c.plan.Gateway() {
			if err := wiring.Route(ns, netip.Prefix{}, via); err != nil {
				return err
			}
		}
	}
	if err := machine.Start(m, c.host, listeners); err != nil {
		return err
	}
	return m.Ready(time.Now().Add(20 * time.Second))
}

func (c *Cluster) powerOff(name string) error {
	m, err := c.spec(name)
	if err != nil {
		return err
	}
	if err := machine.Stop(m, c.host); err != nil {
		return fmt.Errorf("switching %s off: %w", m.Namespace(), err)
	}
	return wiring.DeleteNamespace(m.Namespace())
}

// mark says in the run directory that a machine's parts may exist.
func (c *Cluster) mark(name string) error {
	if err := os.MkdirAll(c.runDir(), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(c.runDir(), "root"), []byte(c.state.Options.Dir), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(c.runDir(), name+markSuffix), nil, 0o644)
}

const markSuffix = ".machine"

// StartNode switches a node (or "outside") on.
func (c *Cluster) StartNode(ctx context.Context, name string) error {
	defer c.lockOrNot()()
	m, err := c.machine(name)
	if err != nil {
		return err
	}
	if m.PID() != 0 {
		return nil
	}
	n, _ := c.state.node(name)
	if err := c.powerOn(name, n.Index, n.Addresses); err != nil {
		return err
	}
	if name != plan.Outside && c.state.Options.CNI == CNIBridge {
		return c.bridgeRoutes(ctx, []Node{n})
	}
	return nil
}

// StopNode switches a node off at once, as when the power goes.
func (c *Cluster) StopNode(name string) error {
	defer c.lockOrNot()()
	if _, err := c.machine(name); err != nil {
		return err
	}
	return c.powerOff(name)
}

// PauseNode hangs a node, or lets it go on: its kernel still answers for its
// addresses, its programs do not.
func (c *Cluster) PauseNode(name string, on bool) error {
	m, err := c.machine(name)
	if err != nil {
		return err
	}
	if m.PID() == 0 {
		return fmt.Errorf("%s: %w", m.Namespace(), supervise.ErrDown)
	}
	return m.Group(c.host).Freeze(on)
}

// Plug pulls the plug of a machine's interface, or puts it back.
func (c *Cluster) Plug(name, segment string, in bool) error {
	if _, err := c.machine(name); err != nil {
		return err
	}
	for _, s := range plan.Segments {
		if segment == string(s) {
			return c.wires().SetPort(name, segment, in)
		}
	}
	return fmt.Errorf("no segment %q: want one of %v", segment, plan.Segments)
}

// lockOrNot serialises verbs on machines with up and down where it can; a verb
// of a test must not wait for another's.
func (c *Cluster) lockOrNot() func() {
	unlock, err := lock(c.Name())
	if err != nil {
		return func() {}
	}
	return unlock
}

// AddNode makes a worker join; an empty name picks the next one, and addresses
// replace those of the plan.
func (c *Cluster) AddNode(ctx context.Context, name string, addresses []netip.Addr) (Node, error) {
	unlock, err := lock(c.Name())
	if err != nil {
		return Node{}, err
	}
	defer unlock()
	if err := c.ensurePrograms(ctx); err != nil {
		return Node{}, err
	}
	n, err := c.state.newNode(c.plan, name, addresses)
	if err != nil {
		return Node{}, err
	}
	a, err := c.authorities()
	if err != nil {
		return Node{}, err
	}
	c.state.Nodes = append(c.state.Nodes, n)
	if err := c.save(); err != nil {
		return Node{}, err
	}
	err = c.say.step("starting "+n.Name, func() error {
		if err := c.nodeFiles(a, n); err != nil {
			return err
		}
		return c.powerOn(n.Name, n.Index, n.Addresses)
	})
	if err != nil {
		return n, err
	}
	if err := c.say.step("loading images into "+n.Name, func() error { return c.loadInto(ctx, n.Name, c.archives()) }); err != nil {
		return n, err
	}
	return n, c.awaitNodes(ctx, []Node{n})
}

// RemoveNode takes a node out of the cluster and deletes all it had.
func (c *Cluster) RemoveNode(ctx context.Context, name string) error {
	unlock, err := lock(c.Name())
	if err != nil {
		return err
	}
	defer unlock()
	n, ok := c.state.node(name)
	if !ok {
		_, err := c.machine(name)
		return err
	}
	if n.ControlPlane {
		return fmt.Errorf("%s carries the control plane; only workers can be removed", name)
	}
	if err := c.powerOff(name); err != nil {
		return err
	}
	client, err := c.api()
	if err != nil {
		return err
	}
	if err := client.delete(ctx, "/api/v1/nodes/"+name); err != nil {
		return fmt.Errorf("deleting Node %s: %w", name, err)
	}
	if err := os.RemoveAll(c.nodeDir(name)); err != nil {
		return err
	}
	os.Remove(filepath.Join(c.runDir(), name+markSuffix))
	var rest []Node
	for _, other := range c.state.Nodes {
		if other.Name != name {
			rest = append(rest, other)
		}
	}
	c.state.Nodes = rest
	return c.save()
}

// LoadImages loads archives into every node, and into those that join later
// for as long as the archives are there.
func (c *Cluster) LoadImages(ctx context.Context, archives []string) error {
	unlock, err := lock(c.Name())
	if err != nil {
		return err
	}
	defer unlock()
	for i, a := range archives {
		if archives[i], err = filepath.Abs(a); err != nil {
			return err
		}
		if !slices.Contains(c.state.Options.Images, archives[i]) {
			c.state.Options.Images = append(c.state.Options.Images, archives[i])
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	for _, n := range c.state.Nodes {
		g.Go(func() error { return c.loadInto(gctx, n.Name, archives) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return c.save()
}

// archives are what a fresh node is given.
func (c *Cluster) archives() []string {
	out := []string{c.state.Archive}
	for _, a := range c.state.Options.Images {
		if _, err := os.Stat(a); err != nil {
			c.say.Say("leaving out image archive %s: %v", a, err)
			continue
		}
		out = append(out, a)
	}
	return out
}

// loadInto streams archives to the node's containerd.
func (c *Cluster) loadInto(ctx context.Context, node string, archives []string) error {
	m, err := c.machine(node)
	if err != nil {
		return err
	}
	root, err := m.Root()
	if err != nil {
		return err
	}
	if err := await(ctx, patience, func() error {
		if err := c.crashing(ctx, node, "containerd"); err != nil {
			return err
		}
		conn, err := net.Dial("unix", root+containerdSocket)
		if err == nil {
			conn.Close()
		}
		return err
	}); err != nil {
		return fmt.Errorf("waiting for containerd of %s: %w%s", node, err, c.tails(err, node, "containerd"))
	}
	for _, a := range archives {
		f, err := os.Open(a)
		if err != nil {
			return err
		}
		err = c.run(ctx, node, f, io.Discard, "ctr", "-n", "k8s.io", "images", "import", "-")
		f.Close()
		if err != nil {
			return fmt.Errorf("loading %s into %s: %w", a, node, err)
		}
	}
	return nil
}

// tails gives the last lines of components' logs, for the message of an error
// that they may explain.
func (c *Cluster) tails(err error, node string, components ...string) string {
	if errors.Is(err, errInterrupted) {
		return ""
	}
	var out strings.Builder
	for _, name := range components {
		file := c.LogFile(node, name)
		b, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		lines := strings.Split(strings.TrimSpace(string(b)), "\n")
		lines = lines[max(0, len(lines)-12):]
		fmt.Fprintf(&out, "\n--- last lines of %s\n%s", file, strings.Join(lines, "\n"))
	}
	return out.String()
}

// LogFile is where a component of a machine writes.
func (c *Cluster) LogFile(machine, component string) string {
	return filepath.Join(c.nodeDir(machine), "log", component+".log")
}
