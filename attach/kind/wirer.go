package kind

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
	"github.com/tsunagu-net/tsunagu/kernel/nft"
	"github.com/tsunagu-net/tsunagu/kernel/trunk"
)

// Wirer wires the interfaces of Pods on one node. It is safe for use by many goroutines; operations on one sandbox must not overlap,
// which CNI promises and the caller's lock per sandbox keeps.
type Wirer struct {
	log   *slog.Logger
	node  *netns.Namespace
	shut  bool            // node is ours to close
	idle  chan *link.Conn // sockets on the node that nobody uses now
	reap  chan struct{}   // one token per removal the kernel is still busy with
	tasks sync.WaitGroup  // those removals

	repeaters  repeaters
	bridging   sync.Mutex // held while bridges and their ports are made or removed
	forwarding [2]forwarder
	cards      cards                   // network cards of the node
	guard      *nft.Guard              // which ports of bridges send with which address
	switching  sync.Mutex              // held while the switch of VLANs is started
	vlans      *trunk.Switch           // nil until the first VLAN
	datapath   Datapath                // of VLANs whose network leaves it to the node
	fault      func(step string) error // of tests: fails after a step
}

// forwarder makes the node route one family, once.
type forwarder struct {
	sync.Mutex
	on bool
}

// idleSockets and removals bound what the Wirer keeps open and lets run.
const (
	idleSockets = 8
	removals    = 64
)

// New prepares to wire the Pods of the node whose network namespace is at hostNS; "" is the one the process runs in.
func New(hostNS string, log *slog.Logger) (*Wirer, error) {
	w := &Wirer{log: log, idle: make(chan *link.Conn, idleSockets), reap: make(chan struct{}, removals)}
	var err error
	if hostNS == "" {
		w.node, err = netns.Home()
	} else {
		w.node, err = netns.Open(hostNS)
		w.shut = true
	}
	if err != nil {
		return nil, fmt.Errorf("node's network namespace: %w", err)
	}
	w.guard, w.cards = &nft.Guard{NS: w.node}, kernelCards{}
	return w, nil
}

// Close waits for removals that are under way and gives the sockets back. Interfaces stay.
func (w *Wirer) Close() error {
	w.repeaters.hush("")
	w.tasks.Wait()
	if w.vlans != nil {
		w.vlans.Close()
	}
	for {
		select {
		case c := <-w.idle:
			c.Close()
		default:
			if w.shut {
				return w.node.Close()
			}
			return nil
		}
	}
}

// Wire makes all interfaces of a sandbox, or none: after an error everything it did is undone. lo is set up always. Interfaces that
// exist already exactly as asked stay untouched, leftovers of an earlier attempt with the same key are replaced. Results are in the
// order of the attachments. Errors that the user can mend are Refusals.
func (w *Wirer) Wire(ctx context.Context, nsPath string, attachments []Attachment) ([]Wired, error) {
	jobs, err := plan(attachments)
	if err != nil {
		return nil, err
	}
	ns, err := w.sandbox(nsPath)
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	node, err := w.borrow()
	if err != nil {
		return nil, err
	}
	defer w.giveIdle(node)
	t := &transaction{Wirer: w, ns: ns, node: node, jobs: jobs}
	defer t.leave()
	if err := t.run(ctx); err != nil {
		if left := t.undo(); left != nil {
			w.log.Error("interfaces left behind", "namespace", nsPath, "cause", left)
			err = errors.Join(err, fmt.Errorf("undo: %w", left))
		}
		return nil, err
	}
	wired := make([]Wired, len(jobs))
	for i, j := range jobs {
		wired[i] = j.wired()
	}
	return wired, nil
}

// sandbox opens a Pod's namespace. The node's own is refused: removal by group would take every Pod's interface.
func (w *Wirer) sandbox(path string) (*netns.Namespace, error) {
	ns, err := netns.Open(path)
	if errors.Is(err, netns.ErrGone) {
		return nil, NoNamespace{Path: path, Err: err}
	}
	if err != nil {
		return nil, err
	}
	if ns.ID() == w.node.ID() {
		ns.Close()
		return nil, fmt.Errorf("network namespace %s is the node's own", path)
	}
	return ns, nil
}

// borrow takes a socket on the node.
func (w *Wirer) borrow() (*link.Conn, error) {
	select {
	case c := <-w.idle:
		return c, nil
	default:
		return link.Dial(w.node)
	}
}

func (w *Wirer) giveIdle(c *link.Conn) {
	select {
	case w.idle <- c:
	default:
		c.Close()
	}
}

// forward makes the node route the families of a job's addresses.
func (t *transaction) forward(j *job) error {
	for _, a := range j.addresses {
		f := family(a.Prefix.Addr())
		if err := t.forwarding[f].ensure(t.Wirer.node, f == 1); err != nil {
			return err
		}
	}
	return nil
}

func (f *forwarder) ensure(node *netns.Namespace, ipv6 bool) error {
	f.Lock()
	defer f.Unlock()
	if f.on {
		return nil
	}
	if err := link.Forward(node, ipv6); err != nil {
		return fmt.Errorf("make the node forward: %w", err)
	}
	f.on = true
	return nil
}

func (t *transaction) holdBridges() {
	if !t.lockedBridges {
		t.bridging.Lock()
		t.lockedBridges = true
	}
}

func (t *transaction) releaseBridges() {
	if t.lockedBridges {
		t.bridging.Unlock()
		t.lockedBridges = false
	}
}

// glance is how often vanish looks. The look itself waits for the kernel's lock, so one or two are enough.
const glance = 50 * time.Microsecond

// vanish carries out a removal and returns as soon as its links are gone from everybody's sight. The kernel goes on for 10 to 20 ms
// after that, waiting until no CPU can still hold a reference (rcu_barrier in netdev_run_todo), and nobody has to wait with it.
func (w *Wirer) vanish(op link.Op, in *netns.Namespace, gone func() bool) error {
	c, err := link.Dial(in)
	if err != nil {
		return err
	}
	return w.vanishBy(c, op, gone)
}

// vanishBy is vanish over a socket, which it closes.
func (w *Wirer) vanishBy(c *link.Conn, op link.Op, gone func() bool) error {
	w.reap <- struct{}{}
	done := make(chan error, 1)
	w.tasks.Go(func() {
		done <- c.Apply(op)
		c.Close()
		<-w.reap
	})
	for {
		select {
		case err := <-done:
			return err
		case <-time.After(glance):
			if gone() {
				return nil
			}
		}
	}
}
