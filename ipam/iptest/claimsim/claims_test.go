package claimsim_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tsunagu-net/tsunagu/ipam"
)

// claimWorld is the part of a world that is about claims: identities whose
// Pods live on any node, one after the other or, when somebody deletes a Pod by
// force, at the same time.
type claimWorld struct {
	identities int

	mu sync.Mutex
	// first is what each life of a claim got first, by name and generation; it
	// must get nothing else.
	first map[string]string
	gens  map[string]int
	moved []string
	lives int
}

func (c *claimWorld) generation(name string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprint(name, "/", c.gens[name])
}

// got notes what a Pod got. Gen is the claim's generation before it asked; if
// it is another one now, nothing can be said.
func (c *claimWorld) got(name, gen, who, what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lives++
	if gen != fmt.Sprint(name, "/", c.gens[name]) {
		return
	}
	if had, ok := c.first[gen]; ok && had != what {
		c.moved = append(c.moved, fmt.Sprintf("%s got %s, its claim had %s", who, what, had))
	}
	c.first[gen] = what
}

func (c *claimWorld) end(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gens[name]++
}

// liveClaimed is the life of a Pod with a claim.
func (w *world) liveClaimed(h *host, i int) {
	sandbox := fmt.Sprintf("pod-%s-%d", h.name, i)
	k := w.under(w.claims.identities, sandbox, "identity")
	name := fmt.Sprintf("vm-%d", k)
	o := ipam.Owner{Key: ipam.Key{ContainerID: sandbox, IfName: "net1"}, Namespace: "sim", Pod: name, Network: "sim/blue"}
	make := ipam.Claim{Meta: ipam.Meta{Name: name}, Namespace: "sim", Network: "sim/blue", Made: true}
	c := &ipam.Claiming{Namespace: "sim", Name: name, Make: &make, Migrates: w.under(3, sandbox, "migrates") == 0}
	wants := anyOf(simPools[k%2])
	if k%3 == 0 {
		wants = anyOf(simPools[2], simPools[3])
	}
	for i := range wants {
		wants[i].Claim = c
	}
	var grants []ipam.Grant
	gen := ""
	w.sandbox(o.ContainerID, h.name)
	for range 8 {
		if !w.exists(o.ContainerID) {
			break // the node was rebooted
		}
		gen = w.claims.generation(name)
		got, err := h.agent().Take(context.Background(), o, wants)
		if err == nil {
			grants = got
			break
		}
		time.Sleep(w.pause(time.Second, sandbox))
	}
	if grants != nil && w.exists(o.ContainerID) {
		w.sharedWith(grants, sandbox)
		w.oracle.begin("blue", grants, sandbox, c.Migrates)
		w.claims.got(name, gen, sandbox, what(grants))
	}
	time.Sleep(w.pause(3*time.Second, sandbox))
	w.sandbox(o.ContainerID, "")
	w.oracle.endOf(sandbox)
	for range 2 { // a DEL may come twice, and late
		for w.free(h, o) != nil {
			time.Sleep(w.pause(time.Second, sandbox))
		}
		time.Sleep(w.pause(2*time.Second, sandbox, "late"))
	}
}

// sharedWith tells the oracle of the owners of addresses that a Pod shares.
func (w *world) sharedWith(grants []ipam.Grant, sandbox string) {
	_, _, all := w.store.Objects()
	for _, g := range grants {
		for _, x := range all {
			if owner := x.Owner.ContainerID; g.Shared && x.Domain == "blue" && x.Address == g.Address.Addr() && owner != sandbox && w.exists(owner) {
				w.oracle.owns("blue "+x.Address.String(), owner)
			}
		}
	}
}

// what a Pod got, whether it shares it or not.
func what(grants []ipam.Grant) (all string) {
	for _, g := range grants {
		all += fmt.Sprint(g.Address, " ", g.MAC, " ", g.Pool, " ")
	}
	return all
}

// free is a DEL.
func (w *world) free(h *host, o ipam.Owner) error {
	for _, x := range h.agent().Held() {
		if w.byName && x.Owner.Pod == o.Pod {
			o.Key = x.Owner.Key
		}
	}
	return h.agent().Free(context.Background(), o.Key)
}

// collect does what the controller does about addresses of claims: those that
// no claim lists, when nobody uses them, at two looks.
func (w *world) collect(lone map[string]int) {
	ctx := context.Background()
	s := w.store.As("controller")
	_, _, all := w.store.Objects()
	for _, x := range all {
		if x.Claim == (ipam.ClaimRef{}) || x.NodeUID != "" {
			delete(lone, x.UID)
			continue
		}
		c, err := s.GetClaim(ctx, x.Claim.Namespace, x.Claim.Name)
		switch {
		case err != nil && !errors.Is(err, ipam.ErrNotFound):
		case err == nil && c.Lists(x):
			delete(lone, x.UID)
		default:
			if lone[x.UID]++; lone[x.UID] > 1 {
				_ = s.DropAddress(ctx, x)
			}
		}
	}
}

// replace loses a node: its sandboxes are gone with it, and a node of the same
// name comes with another UID. The controller has the evidence.
func (h *host) replace() {
	h.reboot()
	h.mu.Lock()
	old := h.uid()
	h.lives++
	stop := h.stop
	h.disk.Kill()
	h.w.mu.Lock()
	h.w.dead[h.life] = true
	h.w.mu.Unlock()
	h.mu.Unlock()
	stop()
	h.w.bury(old)
	h.disk.Lose()
	h.boot()
}

// bury releases what a lost node had.
func (w *world) bury(uid string) {
	ctx := context.Background()
	s := w.store.As("controller")
	_, blocks, all := w.store.Objects()
	for _, b := range blocks {
		if b.NodeUID == uid {
			_ = s.DeleteBlock(ctx, b.Name, b.UID)
		}
	}
	for _, x := range all {
		switch {
		case x.NodeUID != uid && x.Incoming.NodeUID != uid:
		case x.Claim == ipam.ClaimRef{}:
			_ = s.DeleteAddress(ctx, x.Name, x.UID)
		default:
			_, _ = s.UpdateAddress(ctx, x.WithoutNode(uid))
		}
	}
	w.claims.mu.Lock()
	defer w.claims.mu.Unlock()
	w.buried = append(w.buried, uid)
}

// stir does something to claims.
func (w *world) stir(hosts []*host, lone map[string]int) {
	switch n := w.under(100, "stir"); {
	case n < 40:
		w.collect(lone)
	case n < 50:
		name := fmt.Sprintf("vm-%d", n%w.claims.identities)
		w.claims.end(name)
		w.store.EndClaim("sim", name)
	case n < 60:
		hosts[n%len(hosts)].replace()
	case n < 70:
		h := hosts[n%len(hosts)]
		h.sweep()
	}
}

// settleClaims ends all claims when nothing happens any more, and tells what
// is not as it should be.
func (w *world) settleClaims(hosts []*host) (wrong []string) {
	for _, uid := range w.buried {
		w.bury(uid) // what arrived after
	}
	for _, h := range hosts { // a migration whose source was lost may have become theirs only now
		h.sweep()
	}
	_, _, all := w.store.Objects()
	for _, x := range all {
		if x.Claim != (ipam.ClaimRef{}) && (x.NodeUID != "" || x.Incoming != ipam.Use{}) {
			wrong = append(wrong, fmt.Sprintf("%s is used by %s, which is no more", x.Name, x.Owner.Key))
		}
	}
	for _, c := range w.store.Claims() {
		w.store.EndClaim(c.Namespace, c.Name)
	}
	lone := map[string]int{}
	for range 3 {
		w.collect(lone)
	}
	time.Sleep(5 * time.Minute) // blocks are healed, and go
	return append(wrong, w.claims.moved...)
}

func newClaimWorld(t *testing.T, seed int) *world {
	return &world{t: t, seed: uint64(seed), nodes: 2 + seed%3, pods: 12,
		claims: &claimWorld{identities: 3 + seed%4, first: map[string]string{}, gens: map[string]int{}}}
}

// P9, P10, P11, P17, P22 and the crash at each step: Pods with claims move between
// nodes while everything that may go wrong does.
func TestSimulationOfClaims(t *testing.T) {
	lives, pairs := 0, 0
	for seed := *firstSeed; seed < *firstSeed+*seeds; seed++ {
		synctest.Test(t, func(t *testing.T) {
			w := newClaimWorld(t, seed)
			duplicates, leaks := w.run()
			for _, d := range duplicates {
				t.Errorf("seed %d: duplicate: %s", seed, d)
			}
			for _, l := range leaks {
				t.Errorf("seed %d: left: %s", seed, l)
			}
			lives += w.claims.lives
			pairs += w.oracle.pairs
		})
	}
	if pairs == 0 {
		t.Error("no virtual machine migrated")
	}
	t.Logf("%d Pods with claims lived, %d addresses migrated", lives, pairs)
}

// usurper takes over a claim's address whoever has it.
type usurper struct{ ipam.Store }

func (u usurper) GetAddress(ctx context.Context, name string) (ipam.Address, error) {
	x, err := u.Store.GetAddress(ctx, name)
	if err == nil && x.Claim != (ipam.ClaimRef{}) {
		x.Node, x.NodeUID, x.Owner = "", "", ipam.Owner{}
	}
	return x, err
}

// hasty writes an address without looking at the version.
type hasty struct{ ipam.Store }

func (h hasty) UpdateAddress(ctx context.Context, x ipam.Address) (ipam.Address, error) {
	for {
		made, err := h.Store.UpdateAddress(ctx, x)
		if err == nil {
			return made, nil
		}
		now, err2 := h.Store.GetAddress(ctx, x.Name)
		if err2 != nil {
			return made, err
		}
		x.Meta = now.Meta
	}
}

// lister writes what a claim has without looking at the version: of two that
// do so at once, both believe that theirs is the claim's.
type lister struct{ ipam.Store }

func (l lister) UpdateClaim(ctx context.Context, c ipam.Claim) (ipam.Claim, error) {
	made, err := l.Store.UpdateClaim(ctx, c)
	if now, err2 := l.Store.GetClaim(ctx, c.Namespace, c.Name); err != nil && err2 == nil && now.UID == c.UID {
		c.Meta = now.Meta
		return l.Store.UpdateClaim(ctx, c)
	}
	return made, err
}

// keeper never ends the use of an address.
type keeper struct{ ipam.Store }

func (k keeper) UpdateAddress(ctx context.Context, x ipam.Address) (ipam.Address, error) {
	if x.NodeUID == "" {
		return x, nil
	}
	return k.Store.UpdateAddress(ctx, x)
}

// blind does not see that an address migrates.
type blind struct{ ipam.Store }

func (b blind) GetAddress(ctx context.Context, name string) (ipam.Address, error) {
	x, err := b.Store.GetAddress(ctx, name)
	x.Incoming = ipam.Use{}
	return x, err
}

// eager takes a migration for ended when it begins.
type eager struct{ ipam.Store }

func (e eager) GetAddress(ctx context.Context, name string) (ipam.Address, error) {
	x, err := e.Store.GetAddress(ctx, name)
	if to := x.Incoming; to != (ipam.Use{}) {
		x.Node, x.NodeUID, x.Owner, x.Incoming = to.Node, to.NodeUID, to.Owner, ipam.Use{}
	}
	return x, err
}

func TestPlantedBugsOfClaimsAreFound(t *testing.T) {
	store := func(f func(ipam.Store) ipam.Store) func(*world) { return func(w *world) { w.wrap = f } }
	for _, bug := range []struct {
		name  string
		plant func(*world)
	}{
		{"an owner is put out without evidence", store(func(s ipam.Store) ipam.Store { return usurper{s} })},
		{"the end of one sandbox frees the next", func(w *world) { w.byName = true }},
		{"an address is written whatever its version", store(func(s ipam.Store) ipam.Store { return hasty{s} })},
		{"a claim is written whatever its version", store(func(s ipam.Store) ipam.Store { return lister{s} })},
		{"a third may come while an address migrates", store(func(s ipam.Store) ipam.Store { return blind{s} })},
		{"a migration ends when it begins", store(func(s ipam.Store) ipam.Store { return eager{s} })},
		{"the use of an address is never ended", store(func(s ipam.Store) ipam.Store { return keeper{s} })},
		{"what is to be undone is not logged", func(w *world) {
			w.wrapLog = func(l ipam.Log) ipam.Log { return forgetful{l, "x/"} }
			w.unswept = true
		}},
		{"the reply goes out before the log has it", func(w *world) {
			w.wrapLog = func(l ipam.Log) ipam.Log { return forgetful{l, "h/"} }
		}},
	} {
		t.Run(bug.name, func(t *testing.T) {
			var found atomic.Int64
			seed := 0
			for ; seed < 200 && found.Load() == 0; seed++ {
				synctest.Test(t, func(t *testing.T) {
					w := newClaimWorld(t, seed)
					w.quiet = true
					bug.plant(w)
					duplicates, leaks := w.run()
					found.Store(int64(len(duplicates) + len(leaks)))
				})
			}
			if found.Load() == 0 {
				t.Errorf("not found in %d schedules", seed)
			} else {
				t.Logf("found by schedule %d", seed-1)
			}
		})
	}
}
