package linear

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/ipam/iptest"
	"github.com/tsunagu-net/tsunagu/ipam/iptest/oracle"
)

// Config of a drive.
type Config struct {
	// Store is a node's way to what the nodes agree by. Life is another one
	// after each crash; what a dead one sends may still arrive.
	Store       func(life string) ipam.Store
	Domain      string
	Nodes, Each int // clients of a node
	Time        time.Duration
	Seed        uint64
	// Log plants a bug.
	Log func(ipam.Log) ipam.Log
}

// run is a drive under way.
type run struct {
	Config
	began time.Time
	mu    sync.Mutex
	ops   []Op
	hist  oracle.History
}

// Drive lets clients on nodes take and free addresses of a small pool, some of
// them static, while agents crash. It gives back every call, and every use.
func Drive(c Config) ([]Op, []oracle.Use) {
	r := &run{Config: c, began: time.Now()}
	ctx, cancel := context.WithCancel(context.Background())
	stopped := time.AfterFunc(c.Time, cancel)
	defer stopped.Stop()
	var all sync.WaitGroup
	for i := range c.Nodes {
		n := &node{r: r, name: fmt.Sprintf("%s-n%d", c.Domain, i)}
		n.boot()
		var clients sync.WaitGroup
		for k := range c.Each {
			clients.Go(func() { r.client(ctx, n, i*c.Each+k) })
		}
		all.Go(func() {
			n.crash(ctx, rand.New(rand.NewPCG(c.Seed, uint64(i)+1000)))
			clients.Wait()
			n.kill()
		})
	}
	all.Wait()
	return r.ops, r.hist.Uses()
}

// node is an agent that crashes and comes back with its log.
type node struct {
	r    *run
	name string
	disk iptest.Disk
	mu   sync.RWMutex // held for reading by calls: a crash is between them, or makes them fail
	n    int
	a    *ipam.Allocator
	stop func()
}

func (n *node) boot() {
	n.n++
	var log ipam.Log = n.disk.Boot()
	if n.r.Log != nil {
		log = n.r.Log(log)
	}
	a, err := ipam.New(ipam.Options{Node: n.name, NodeUID: n.name, Store: n.r.Store(fmt.Sprintf("%s#%d", n.name, n.n)), Log: log, Nodes: n.r.Nodes})
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = a.Run(ctx) }()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.a, n.stop = a, func() { cancel(); <-done }
}

func (n *node) kill() {
	n.disk.Kill()
	n.mu.RLock()
	stop := n.stop
	n.mu.RUnlock()
	stop()
}

// crash kills the agent now and then, under whatever calls there are.
func (n *node) crash(ctx context.Context, random *rand.Rand) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(200*time.Millisecond + time.Duration(random.Int64N(int64(800*time.Millisecond)))):
			n.kill()
			n.boot()
		}
	}
}

func (n *node) agent() (*ipam.Allocator, int) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.a, n.n
}

// client is one Pod after the other.
func (r *run) client(ctx context.Context, n *node, id int) {
	random := rand.New(rand.NewPCG(r.Seed, uint64(id)))
	p := ipam.Pool{Name: r.Domain, Domain: r.Domain, Prefix: netip.MustParsePrefix("10.66.0.0/28")}
	for i := 0; ctx.Err() == nil; i++ {
		o := ipam.Owner{Key: ipam.Key{ContainerID: fmt.Sprintf("%s-%d-%d", n.name, id, i), IfName: "net1"}, Namespace: "linear", Pod: n.name}
		w := ipam.Want{Pool: p}
		if random.IntN(4) == 0 {
			w.Static = netip.AddrFrom4([4]byte{10, 66, 0, byte(1 + random.IntN(14))})
		}
		op := Op{Client: id, Holder: o.Key.String(), Begin: time.Since(r.began)}
		a, life := n.agent()
		grants, err := a.Take(ctx, o, []ipam.Want{w})
		op.End = time.Since(r.began)
		if _, now := n.agent(); err == nil && now == life {
			x := grants[0].Address.Addr()
			op.Place = r.Domain + " " + x.String()
			r.note(op)
			who := oracle.HolderOf(n.name, o)
			r.hist.Begin(r.Domain, x, who)
			time.Sleep(time.Duration(random.Int64N(int64(30 * time.Millisecond))))
			r.hist.End(r.Domain, x, who)
			r.free(n, o, op)
			continue
		}
		r.free(n, o, Op{}) // nobody was told of it, if it has one
		time.Sleep(time.Duration(random.Int64N(int64(20 * time.Millisecond))))
	}
}

// free asks until an agent that lives says that it is done.
func (r *run) free(n *node, o ipam.Owner, op Op) {
	op.Free, op.Begin = true, time.Since(r.began)
	for {
		a, life := n.agent()
		err := a.Free(context.Background(), o.Key)
		if _, now := n.agent(); err == nil && now == life {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	op.End = time.Since(r.began)
	if op.Place != "" {
		r.note(op)
	}
}

func (r *run) note(op Op) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, op)
}
