package ipam_test

import (
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/ipam/iptest"
)

// plague is a few nodes whose segment has strangers: a Pod finds its address
// in use, has it shut away and takes another, or one asks for such an address, while agents are killed and the
// API server comes and goes. Time is virtual and all chance comes from the seed.
type plague struct {
	t       *testing.T
	seed    int
	store   *iptest.Store
	wrap    func(ipam.Store) ipam.Store
	wrapLog func(ipam.Log) ipam.Log

	mu     sync.Mutex
	shut   map[string]time.Time // addresses in quarantine, and until when
	users  map[string]string
	met    int // strangers
	asked  int // how often an address in quarantine was asked for and given
	away   time.Time
	failed []string
}

func (p *plague) under(n int, what ...any) int {
	h := fnv.New64a()
	fmt.Fprint(h, p.seed, time.Now().UnixNano(), what)
	return int(h.Sum64() % uint64(n))
}

// plagueLasts is how long addresses are shut away, plagueTime how long it goes on.
const plagueLasts, plagueTime = 20 * time.Second, 2 * time.Minute

// shutAway is an address that is in quarantine now. It is for a Pod that asks
// for it, which ends the quarantine, also if nobody hears of it: the agent may
// be killed at any step of the way.
func (p *plague) shutAway() (netip.Addr, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, x := range slices.Sorted(maps.Keys(p.shut)) {
		if time.Now().Before(p.shut[x]) && p.users[x] == "" {
			delete(p.shut, x)
			return netip.MustParseAddr(x), true
		}
	}
	return netip.Addr{}, false
}

// given judges what a Pod got.
func (p *plague) given(who string, grants []ipam.Grant, asked netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, g := range grants {
		x := g.Address.Addr().String()
		if g.Address.Addr() == asked {
			p.asked++
		}
		if until := p.shut[x]; time.Now().Before(until) {
			p.failed = append(p.failed, fmt.Sprintf("%s is given to %s %v before the end of its quarantine", x, who, time.Until(until)))
		}
		if other := p.users[x]; other != "" {
			p.failed = append(p.failed, fmt.Sprintf("%s is used by %s and %s", x, other, who))
		}
		p.users[x] = who
	}
}

func (p *plague) freed(who string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for x, user := range p.users {
		if user == who {
			delete(p.users, x)
		}
	}
}

// live is one Pod: it meets a stranger at every third address.
func (p *plague) live(h *host, i int, pool ipam.Pool) {
	o := ipam.Owner{Key: ipam.Key{ContainerID: fmt.Sprintf("%s-%d", h.name, i), IfName: "net1"}, Namespace: "sim", Pod: fmt.Sprint("pod-", h.name, "-", i)}
	free := func() {
		p.freed(o.Pod)
		for h.agent().Free(context.Background(), o.Key) != nil {
			time.Sleep(time.Second)
		}
	}
	for try := range 6 {
		a := h.agent()
		wants := anyOf(pool)
		var asked netip.Addr
		if p.under(4, o.Pod, try, "asks") == 0 {
			if x, ok := p.shutAway(); ok {
				asked, wants[0].Static = x, x
			}
		}
		grants, err := a.Take(context.Background(), o, wants)
		if a != h.agent() {
			break // the answer came from an agent that was killed: nobody heard it
		}
		if err != nil {
			time.Sleep(time.Duration(1+p.under(2000, o.Pod, try)) * time.Millisecond)
			continue
		}
		p.given(o.Pod, grants, asked)
		x := grants[0].Address.Addr()
		if p.under(3, o.Pod, try, "stranger") > 0 {
			time.Sleep(time.Duration(1+p.under(2000, o.Pod, try)) * time.Millisecond)
			break
		}
		s := ipam.Stranger{Address: x, Domain: pool.Domain, Pool: pool.Name, MAC: "0a:00:00:00:00:09", Seen: time.Now(), Lasts: plagueLasts}
		if a.Quarantine(s) == nil && a == h.agent() {
			p.mu.Lock()
			p.met++
			p.shut[x.String()] = s.Seen.Add(s.Lasts)
			p.mu.Unlock()
		}
		free()
	}
	free()
}

// control does what the controller does about quarantines that are over.
func (p *plague) control(end <-chan struct{}) {
	for {
		select {
		case <-end:
			return
		case <-time.After(3 * time.Second):
		}
		for _, x := range quarantines(p.store) {
			if time.Since(x.Quarantine.Seen) > x.Quarantine.Lasts {
				_ = p.store.As("controller").DeleteAddress(context.Background(), x.Name, x.UID)
			}
		}
	}
}

func (p *plague) run() []string {
	p.store, p.shut, p.users = iptest.NewStore(), map[string]time.Time{}, map[string]string{}
	w := &world{t: p.t, store: p.store, nodes: 3, dead: map[string]bool{}, alive: map[string]string{}, quiet: true, wrap: p.wrap, wrapLog: p.wrapLog}
	p.store.Through(func(ctx context.Context, c iptest.Call, deed func() error) error {
		time.Sleep(time.Duration(1+p.under(5, c)) * time.Millisecond)
		p.mu.Lock()
		away := time.Now().Before(p.away)
		p.mu.Unlock()
		switch {
		case w.isDead(c.Node):
			return iptest.ErrDead
		case away || ctx.Err() != nil:
			return errLost
		}
		return deed()
	})
	var hosts []*host
	for i := range w.nodes {
		h := &host{w: w, name: fmt.Sprintf("n%d", i)}
		h.boot()
		hosts = append(hosts, h)
	}
	pool := []ipam.Pool{poolOf("10.1.2.0/28"), poolOf("10.1.4.0/24")}[p.seed%2]
	end := make(chan struct{})
	var lives, beside sync.WaitGroup
	begun := time.Now()
	for _, h := range hosts {
		for worker := range 2 {
			lives.Go(func() {
				for i := 0; time.Since(begun) < plagueTime; i++ {
					p.live(h, worker*1000+i, pool)
					time.Sleep(time.Duration(1+p.under(1000, h.name, worker)) * time.Millisecond)
				}
			})
		}
	}
	beside.Go(func() { p.control(end) })
	for time.Since(begun) < plagueTime {
		time.Sleep(time.Duration(1+p.under(4000, "killer")) * time.Millisecond)
		if p.under(6, "away") == 0 {
			p.mu.Lock()
			p.away = time.Now().Add(15 * time.Second)
			p.mu.Unlock()
			continue
		}
		h := hosts[p.under(len(hosts), "killed")]
		h.kill()
		h.boot()
	}
	lives.Wait()
	time.Sleep(2 * time.Minute)
	for _, h := range hosts {
		h.sweep() // all sandboxes are gone
	}
	time.Sleep(time.Minute)
	p.everythingIsFreeAgain(hosts[0], pool)
	close(end)
	beside.Wait()
	for _, h := range hosts {
		h.kill()
	}
	return p.failed
}

// everythingIsFreeAgain takes the whole pool: a hole that nobody closes shows.
func (p *plague) everythingIsFreeAgain(h *host, pool ipam.Pool) {
	for i := range int(pool.Size()) {
		o := ipam.Owner{Key: ipam.Key{ContainerID: fmt.Sprint("last-", i), IfName: "net1"}}
		var err error
		for range 10 {
			if _, err = h.agent().Take(context.Background(), o, anyOf(pool)); err == nil {
				break
			}
			time.Sleep(time.Second)
		}
		if err != nil {
			p.failed = append(p.failed, fmt.Sprintf("after %d addresses: %v", i, err))
			return
		}
	}
}

func TestQuarantineHolds(t *testing.T) {
	asked := 0
	for seed := range *seeds {
		synctest.Test(t, func(t *testing.T) {
			p := &plague{t: t, seed: seed + *firstSeed}
			for _, f := range p.run() {
				t.Errorf("seed %d: %s", p.seed, f)
			}
			if p.met == 0 {
				t.Errorf("seed %d: nobody met a stranger", p.seed)
			}
			asked += p.asked
		})
	}
	if asked == 0 {
		t.Error("nobody got an address out of quarantine by asking for it")
	}
	t.Logf("%d addresses were got out of quarantine by asking for them", asked)
}

// careless does not see quarantines when it looks for bound addresses.
type careless struct{ ipam.Store }

func (c careless) ListAddresses(ctx context.Context, s ipam.Scope) ([]ipam.Address, error) {
	all, err := c.Store.ListAddresses(ctx, s)
	return slices.DeleteFunc(all, func(x ipam.Address) bool { return x.Quarantine != nil }), err
}

// gullible takes a quarantine for written that was not.
type gullible struct{ ipam.Store }

func (g gullible) CreateAddress(ctx context.Context, a ipam.Address) (ipam.Address, error) {
	if a.Quarantine != nil {
		return a, nil
	}
	return g.Store.CreateAddress(ctx, a)
}

// Each of these gives a quarantined address out; some schedule must show it.
func TestPlantedQuarantineBugsAreFound(t *testing.T) {
	for what, plant := range map[string]func(*plague){
		"quarantines are not in the log":         func(p *plague) { p.wrapLog = func(l ipam.Log) ipam.Log { return forgetful{l, "q/"} } },
		"a claim does not look for quarantines":  func(p *plague) { p.wrap = func(s ipam.Store) ipam.Store { return careless{s} } },
		"an object is believed before it exists": func(p *plague) { p.wrap = func(s ipam.Store) ipam.Store { return gullible{s} } },
	} {
		t.Run(what, func(t *testing.T) {
			found := ""
			seed := 0
			for ; seed < 60 && found == ""; seed++ {
				synctest.Test(t, func(t *testing.T) {
					p := &plague{t: t, seed: seed}
					plant(p)
					for _, f := range p.run() {
						if strings.Contains(f, "quarantine") {
							found = f
						}
					}
				})
			}
			if found == "" {
				t.Errorf("not found in %d schedules", seed)
			} else {
				t.Logf("found by schedule %d: %s", seed-1, found)
			}
		})
	}
}
