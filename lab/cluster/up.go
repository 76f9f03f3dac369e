package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tsunagu-net/tsunagu/lab/build"
	"github.com/tsunagu-net/tsunagu/lab/image"
	"github.com/tsunagu-net/tsunagu/lab/plan"
	"github.com/tsunagu-net/tsunagu/lab/supervise"
)

// Up makes a lab, or brings one that exists back to what it should be: machines
// that are off are started, the rest is left alone. A lab whose making was
// interrupted is removed and made again.
func Up(ctx context.Context, o Options) (*Cluster, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	if err := preflight(o); err != nil {
		return nil, err
	}
	unlock, err := lock(o.Name)
	if err != nil {
		return nil, err
	}
	defer unlock()

	dir := filepath.Join(o.Dir, ".lab", o.Name)
	if b, err := os.ReadFile(filepath.Join(runDir, o.Name, "root")); err == nil && string(b) != o.Dir {
		return nil, fmt.Errorf("lab %q is running already, from %s; give this one another --name", o.Name, b)
	}
	s, err := readState(dir)
	if err == nil && s.Complete {
		return repair(ctx, dir, s, o)
	}
	if err == nil || Exists(o.Name) {
		o.Progress.Say("an earlier start of lab %s was interrupted; removing what it left", o.Name)
		if err := erase(o.Dir, o.Name); err != nil {
			return nil, err
		}
	}
	c, err := assemble(dir, state{Options: o}, o.Progress)
	if err != nil {
		return nil, err
	}
	return c, c.create(ctx)
}

// Build fills the cache of programs and images, and nothing else.
func Build(ctx context.Context, o Options) error {
	o, err := o.complete()
	if err != nil {
		return err
	}
	c := &Cluster{state: state{Options: o}, dir: filepath.Join(o.Dir, ".lab", o.Name), say: o.Progress}
	return c.programs(ctx)
}

// programs builds what the lab runs and links it into .lab/bin.
func (c *Cluster) programs(ctx context.Context) error {
	dirs := map[string]string{}
	for _, set := range build.Sets {
		err := c.say.step("building "+set.Name, func() (err error) {
			dirs[set.Name], err = set.Build(ctx, c.state.Options.Source)
			return err
		})
		if err != nil {
			if _, stat := os.Stat(c.state.Options.Source); stat != nil {
				return fmt.Errorf("the lab is built from tsunagu's source tree, which is not at %s: run this inside the tree, or name it with --source", c.state.Options.Source)
			}
			return err
		}
	}
	c.state.Programs, c.state.CoreDNS = dirs["kubernetes"], dirs["coredns"]
	if err := os.MkdirAll(c.Bin(), 0o755); err != nil {
		return err
	}
	names := append(slices.Clone(build.Sets[0].Links["labkube"]), "agnhost")
	for _, name := range names {
		if err := link(c.state.program(name), filepath.Join(c.Bin(), name)); err != nil {
			return err
		}
	}
	cache, err := build.Cache()
	if err != nil {
		return err
	}
	return c.say.step("making images", func() (err error) {
		c.state.Archive, err = image.Make(image.Programs{
			CoreDNS: filepath.Join(c.state.CoreDNS, "coredns"),
			Agnhost: c.state.program("agnhost"),
			Busybox: busyboxPath(),
		}, cache)
		return err
	})
}

// ensurePrograms builds again what was removed from the cache since.
func (c *Cluster) ensurePrograms(ctx context.Context) error {
	for _, f := range []string{c.state.program("kubelet"), filepath.Join(c.state.CoreDNS, "coredns"), c.state.Archive} {
		if _, err := os.Stat(f); err != nil {
			if err := c.programs(ctx); err != nil {
				return err
			}
			return c.save()
		}
	}
	return nil
}

// link points a name at a file in one step, whatever it was before.
func link(to, at string) error {
	tmp := fmt.Sprintf("%s.%d", at, os.Getpid())
	if err := os.Symlink(to, tmp); err != nil {
		return err
	}
	return os.Rename(tmp, at)
}

func (c *Cluster) create(ctx context.Context) error {
	o := c.state.Options
	if err := o.checkVIPProgram(); err != nil {
		return err
	}
	if err := c.programs(ctx); err != nil {
		return err
	}
	for i := range o.Images {
		abs, err := filepath.Abs(o.Images[i])
		if err != nil {
			return err
		}
		if _, err := os.Stat(abs); err != nil {
			return fmt.Errorf("image archive: %w", err)
		}
		o.Images[i] = abs
	}
	raiseLimits(o)
	port, err := freePort()
	if err != nil {
		return err
	}
	c.state.Port = port
	for i := range o.Nodes {
		n, err := c.state.newNode(c.plan, "", nil)
		if err != nil {
			return err
		}
		n.ControlPlane = i < o.ControlPlanes
		c.state.Nodes = append(c.state.Nodes, n)
	}
	if err := c.mark(switchName); err != nil {
		return err
	}
	if err := c.save(); err != nil {
		return err
	}

	err = c.say.step("writing keys and configuration", func() error {
		a, err := c.authorities()
		if err != nil {
			return err
		}
		if err := c.adminKubeconfig(a); err != nil {
			return err
		}
		if err := c.outsideFiles(); err != nil {
			return err
		}
		for _, n := range c.state.Nodes {
			if err := c.nodeFiles(a, n); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := c.startMachines(c.state.Nodes, true); err != nil {
		return err
	}
	if err := c.settle(ctx, c.state.Nodes); err != nil {
		return err
	}
	c.state.Complete = true
	if err := c.save(); err != nil {
		return err
	}
	c.sayReady()
	return nil
}

// startMachines switches machines on, all at a time.
func (c *Cluster) startMachines(nodes []Node, outside bool) error {
	return c.say.step(fmt.Sprintf("starting %d machines", len(nodes)), func() error {
		var segments []string
		for _, s := range plan.Segments {
			segments = append(segments, string(s))
		}
		if err := c.wires().Create(segments); err != nil {
			return err
		}
		var g errgroup.Group
		if outside {
			g.Go(func() error { return c.powerOn(plan.Outside, 0, nil) })
		}
		for _, n := range nodes {
			g.Go(func() error { return c.powerOn(n.Name, n.Index, n.Addresses) })
		}
		return g.Wait()
	})
}

// settle waits until fresh nodes are part of a working cluster.
func (c *Cluster) settle(ctx context.Context, fresh []Node) error {
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return c.say.step("loading images", func() error {
			archives := c.archives()
			images, ictx := errgroup.WithContext(gctx)
			for _, n := range fresh {
				images.Go(func() error { return c.loadInto(ictx, n.Name, archives) })
			}
			return images.Wait()
		})
	})
	g.Go(func() error {
		if err := c.say.step("waiting for the API server", func() error { return c.awaitAPI(gctx) }); err != nil {
			return err
		}
		client, err := c.api()
		if err != nil {
			return err
		}
		return c.applyDNS(gctx, client)
	})
	if err := g.Wait(); err != nil {
		return err
	}
	return c.awaitNodes(ctx, fresh)
}

// patience is how long a program may take that is slow and not crashing; an
// emulated machine takes minutes for what others do in seconds.
const patience = 5 * time.Minute

// crashing is an error when one of the programs was restarted again and again:
// there is nothing to wait for.
func (c *Cluster) crashing(ctx context.Context, node string, programs ...string) error {
	m, err := c.machine(node)
	if err != nil {
		return err
	}
	rep, err := c.supervisor(m).Status(ctx)
	if err != nil {
		return hopeless{err}
	}
	for _, s := range rep.Components {
		if slices.Contains(programs, s.Name) && s.Restarts >= 4 && s.State != supervise.Running {
			return hopeless{fmt.Errorf("%s on %s keeps ending: %s", s.Name, node, s.LastExit)}
		}
	}
	return nil
}

func (c *Cluster) awaitAPI(ctx context.Context) error {
	client, err := c.api()
	if err != nil {
		return err
	}
	first := c.state.controlPlanes()[0].Name
	err = await(ctx, patience, func() error {
		if err := c.crashing(ctx, first, "etcd", "kube-apiserver"); err != nil {
			return err
		}
		return client.get(ctx, "/readyz", nil)
	})
	if err != nil {
		return fmt.Errorf("the API server is not ready: %w%s", err, c.tails(err, first, "etcd", "kube-apiserver"))
	}
	return nil
}

// awaitNodes waits until the nodes are registered and, when the lab brings a
// Pod network, Ready.
func (c *Cluster) awaitNodes(ctx context.Context, nodes []Node) error {
	client, err := c.api()
	if err != nil {
		return err
	}
	err = c.say.step("waiting for nodes to register", func() error {
		for _, n := range nodes {
			err := await(ctx, patience, func() error {
				if err := c.crashing(ctx, n.Name, "containerd", "kubelet"); err != nil {
					return err
				}
				return c.registered(ctx, client, n.Name)
			})
			if err != nil {
				return fmt.Errorf("node %s does not register: %w%s", n.Name, err, c.tails(err, n.Name, "containerd", "kubelet"))
			}
			if n.ControlPlane {
				role := map[string]any{"metadata": map[string]any{"labels": map[string]string{"node-role.kubernetes.io/control-plane": ""}}}
				if err := client.merge(ctx, "/api/v1/nodes/"+n.Name, role); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil || c.state.Options.CNI != CNIBridge {
		return err
	}
	if err := c.say.step("installing the bridge CNI", func() error { return c.installBridge(ctx, nodes) }); err != nil {
		return err
	}
	return c.AwaitReady(ctx, 120*time.Second)
}

// registered succeeds when the Node's status is of the machine's present life:
// after a reboot the object is there, and says what was.
func (c *Cluster) registered(ctx context.Context, client *api, name string) error {
	m, err := c.machine(name)
	if err != nil {
		return err
	}
	root, err := m.Root()
	if err != nil {
		return err
	}
	boot, err := os.ReadFile(root + "/proc/sys/kernel/random/boot_id")
	if err != nil {
		return err
	}
	n, err := client.node(ctx, name)
	if err != nil {
		return err
	}
	if n.Status.NodeInfo.BootID != strings.TrimSpace(string(boot)) {
		return errors.New("its kubelet has not reported since it was started")
	}
	return nil
}

// AwaitReady waits until every running node is Ready, and the cluster's DNS is;
// for use after a network was installed.
func (c *Cluster) AwaitReady(ctx context.Context, most time.Duration) error {
	client, err := c.api()
	if err != nil {
		return err
	}
	deadline := time.Now().Add(most)
	err = c.say.step("waiting for nodes to be Ready", func() error {
		for _, n := range c.state.Nodes {
			if m, err := c.machine(n.Name); err != nil || m.PID() == 0 {
				continue
			}
			err := await(ctx, time.Until(deadline), func() error {
				obj, err := client.node(ctx, n.Name)
				if err != nil {
					return err
				}
				if ok, why := obj.ready(); !ok {
					return errors.New(why)
				}
				return nil
			})
			if err != nil {
				return fmt.Errorf("node %s is not Ready: %w%s", n.Name, err, c.tails(err, n.Name, "kubelet"))
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.say.step("waiting for the cluster's DNS", func() error {
		return await(ctx, time.Until(deadline), func() error {
			var d struct {
				Status struct{ ReadyReplicas int }
			}
			if err := client.get(ctx, "/apis/apps/v1/namespaces/kube-system/deployments/coredns", &d); err != nil {
				return err
			}
			if d.Status.ReadyReplicas == 0 {
				return errors.New("no Pod of Deployment kube-system/coredns is ready")
			}
			return nil
		})
	})
}

// repair starts what is off. What was stopped on purpose inside a running
// machine stays stopped: that is somebody's experiment.
func repair(ctx context.Context, dir string, s state, o Options) (*Cluster, error) {
	c, err := assemble(dir, s, o.Progress)
	if err != nil {
		return nil, err
	}
	outside, err := c.machine(plan.Outside)
	if err != nil {
		return nil, err
	}
	var off []Node
	for _, n := range s.Nodes {
		m, err := c.machine(n.Name)
		if err != nil {
			return nil, err
		}
		if m.PID() == 0 {
			off = append(off, n)
		}
	}
	if len(off) == 0 && outside.PID() != 0 {
		if diff := differences(s.Options, o); diff != "" {
			return c, fmt.Errorf("lab %s is up already with other options (%s); remove it first: lab down --name %s", o.Name, diff, o.Name)
		}
		c.say.Say("lab %s is up already; nothing to do", o.Name)
		c.sayReady()
		return c, nil
	}
	c.say.Say("lab %s exists; starting what is off", o.Name)
	if err := c.ensurePrograms(ctx); err != nil {
		return c, err
	}
	raiseLimits(c.state.Options)
	if err := c.mark(switchName); err != nil {
		return c, err
	}
	if err := c.startMachines(off, outside.PID() == 0); err != nil {
		return c, err
	}
	if err := c.settle(ctx, off); err != nil {
		return c, err
	}
	c.sayReady()
	return c, nil
}

// differences names options that an existing lab was made with differently.
func differences(have, want Options) string {
	var out []string
	diff := func(what string, a, b any) {
		if a != b {
			out = append(out, fmt.Sprintf("%s: %v, asked for %v", what, a, b))
		}
	}
	diff("nodes", have.Nodes, want.Nodes)
	diff("control planes", have.ControlPlanes, want.ControlPlanes)
	diff("kube-proxy", have.Proxy, want.Proxy)
	diff("IP family", have.Family, want.Family)
	diff("CNI", have.CNI, want.CNI)
	diff("control plane's address", have.VIP, want.VIP)
	return strings.Join(out, "; ")
}

func (c *Cluster) sayReady() {
	c.say.Say("kubeconfig: %s", c.Kubeconfig())
	if c.state.Options.CNI == CNINone {
		c.say.Say("%d nodes are registered; they become Ready when a CNI is installed, e.g. tsunagu", len(c.state.Nodes))
	} else {
		c.say.Say("%d nodes are Ready", len(c.state.Nodes))
	}
}

func freePort() (int, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port, nil
}
