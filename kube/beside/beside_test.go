package beside

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/ipam/iptest"
	"github.com/tsunagu-net/tsunagu/ipam/legacy"
)

// ranges are definitions as people write them: the second overlaps the first.
var ranges = []string{
	`{"type":"whereabouts","range":"10.9.0.0/27"}`,
	`{"type":"whereabouts","range":"10.9.0.0/26","range_start":"10.9.0.8","range_end":"10.9.0.40"}`,
	`{"type":"whereabouts","range":"fd00:9::/124"}`,
}

func pool(t *testing.T, text string) ipam.Pool {
	t.Helper()
	c, err := ipam.ParseConfig([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c.OfNetwork("net", false).Pools[0][0]
}

// node is an agent of a cluster that has whereabouts too.
func node(t *testing.T, store *iptest.Store, book *Book, name string, disk *iptest.Disk) *Allocator {
	t.Helper()
	b := *book
	b.Node = name + "-uid"
	inner, err := ipam.New(ipam.Options{Node: name, NodeUID: b.Node, Store: store.As(name), Log: disk.Boot(), Nodes: 3})
	if err != nil {
		t.Fatal(err)
	}
	a := New(inner, &b, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = a.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return a
}

// old is whereabouts on a node: it reads the pool, takes what the Pod's interface has there already, under the new sandbox, or the lowest
// address that neither pool nor reservations have, writes the pool at the version that it read, and makes the reservation. Everything
// begins anew when something came in between.
type old struct{ *Book }

func (o old) add(ctx context.Context, p ipam.Pool, first, last netip.Addr, pod string) (netip.Addr, error) {
	for range 200 {
		name := legacy.PoolName("", p.Prefix)
		object, err := o.get(ctx, "ippools", name)
		verb, at := http.MethodPut, name
		if apierrors.IsNotFound(err) {
			verb, at = http.MethodPost, ""
			object, err = map[string]any{"apiVersion": "whereabouts.cni.cncf.io/v1alpha1", "kind": "IPPool", "metadata": map[string]any{"name": name, "namespace": o.Namespace},
				"spec": map[string]any{"range": p.Prefix.String(), "allocations": map[string]any{}}}, nil
		}
		if err != nil {
			return netip.Addr{}, err
		}
		for x := first; x.Compare(last) <= 0; x = x.Next() {
			spec, all, key, err := place(object, Entry{Address: x, Range: p.Prefix})
			if err != nil {
				return x, err
			}
			if one, ok := all[key].(map[string]any); ok && one["podref"] == "old/"+pod && one["ifname"] == "net1" {
				one["id"] = pod
				if err := o.write(ctx, verb, "ippools", at, object); err == nil {
					return x, nil
				}
				break
			}
			if _, taken := all[key]; taken {
				continue
			}
			if _, err := o.get(ctx, reservations, legacy.ReservationName("", x)); !apierrors.IsNotFound(err) {
				continue
			}
			all[key] = map[string]any{"id": pod, "podref": "old/" + pod, "ifname": "net1"}
			spec["allocations"] = all
			if o.write(ctx, verb, "ippools", at, object) != nil {
				break // somebody was faster
			}
			err = o.write(ctx, http.MethodPost, reservations, "", map[string]any{"metadata": map[string]any{"name": legacy.ReservationName("", x)},
				"spec": map[string]any{"containerid": pod, "podref": "old/" + pod, "ifname": "net1"}})
			if err == nil {
				return x, nil
			}
			o.forget(ctx, p, x, pod)
			break
		}
	}
	return netip.Addr{}, fmt.Errorf("no address for %s", pod)
}

// forget takes the allocation back.
func (o old) forget(ctx context.Context, p ipam.Pool, x netip.Addr, pod string) {
	_ = o.edit(ctx, Entry{Address: x, Range: p.Prefix}, func(all map[string]any, key string) (string, bool) {
		if one, ok := all[key].(map[string]any); ok && one["id"] == pod {
			delete(all, key)
		}
		return "", true
	})
}

func (o old) del(ctx context.Context, p ipam.Pool, x netip.Addr, pod string) {
	if got, err := o.get(ctx, reservations, legacy.ReservationName("", x)); err == nil && got["spec"].(map[string]any)["containerid"] == pod {
		meta := got["metadata"].(map[string]any)
		_ = o.Client.Delete().AbsPath(o.path(reservations, legacy.ReservationName("", x))).
			Body(fmt.Appendf(nil, `{"preconditions":{"uid":%q,"resourceVersion":%q}}`, meta["uid"], meta["resourceVersion"])).Do(ctx).Error()
	}
	o.forget(ctx, p, x, pod)
}

// users is who has which address.
type users struct {
	mu     sync.Mutex
	by     map[netip.Addr]string
	failed []string
	uses   int
}

func (u *users) begin(x netip.Addr, who string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.uses++
	if other := u.by[x]; other != "" {
		u.failed = append(u.failed, fmt.Sprintf("%s is used by %s and %s", x, other, who))
	}
	u.by[x] = who
}

func (u *users) end(x netip.Addr) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.by, x)
}

func mixed(t *testing.T, booked string) (u *users, a *api) {
	a, client := newAPI(t)
	book := &Book{Client: client, Namespace: "kube-system"}
	u = &users{by: map[netip.Addr]string{}}
	store := iptest.NewStore()
	var all sync.WaitGroup
	end := time.Now().Add(3 * time.Second)
	for n := range 2 {
		agent := node(t, store, &Book{Client: client, Namespace: booked}, fmt.Sprint("new", n), &iptest.Disk{})
		for w := range 3 {
			all.Go(func() {
				for i := 0; time.Now().Before(end); i++ {
					p := pool(t, ranges[rand.IntN(len(ranges))])
					id := fmt.Sprintf("new%d-%d-%d", n, w, i)
					o := ipam.Owner{Key: ipam.Key{ContainerID: id, IfName: "net1"}, Namespace: "new", Pod: id}
					got, err := agent.Take(t.Context(), o, []ipam.Want{{Pool: p}})
					if err != nil {
						continue
					}
					x := got[0].Address.Addr()
					u.begin(x, id)
					time.Sleep(time.Duration(rand.IntN(30)) * time.Millisecond)
					u.end(x)
					if err := agent.Free(t.Context(), o.Key); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	for n := range 3 {
		all.Go(func() {
			o := old{book}
			for i := 0; time.Now().Before(end); i++ {
				p := pool(t, ranges[rand.IntN(len(ranges))])
				first, last := p.Prefix.Addr().Next(), p.Prefix.Addr()
				for range 14 {
					last = last.Next()
				}
				if strings.Contains(p.Prefix.String(), "/26") {
					first, last = netip.MustParseAddr("10.9.0.8"), netip.MustParseAddr("10.9.0.40")
				}
				id := fmt.Sprintf("old%d-%d", n, i)
				x, err := o.add(t.Context(), p, first, last, id)
				if err != nil {
					continue
				}
				u.begin(x, id)
				time.Sleep(time.Duration(rand.IntN(30)) * time.Millisecond)
				u.end(x)
				o.del(t.Context(), p, x, id)
			}
		})
	}
	all.Wait()
	return u, a
}

// P20: nodes with whereabouts and nodes with tsunagu share ranges that overlap, and no address is on two Pods; nothing is left at the end.
func TestP20MixedPhase(t *testing.T) {
	u, a := mixed(t, "kube-system")
	for _, f := range u.failed {
		t.Error(f)
	}
	if u.uses < 100 {
		t.Errorf("%d uses prove nothing", u.uses)
	}
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		allocations, reserved := a.left()
		if allocations+reserved == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d allocations and %d reservations are left", allocations, reserved)
		}
	}
	t.Logf("%d uses", u.uses)
}

// Without the bookings the same load gives addresses twice.
func TestMixedPhaseNeedsBookings(t *testing.T) {
	if u, _ := mixed(t, "nowhere"); len(u.failed) == 0 {
		t.Errorf("no duplicate in %d uses: the test shows nothing", u.uses)
	}
}

// What whereabouts has is refused to who asks for it, with its Pod; without the API server nothing is given; a killed agent's bookings end.
func TestBookings(t *testing.T) {
	a, client := newAPI(t)
	book := &Book{Client: client, Namespace: "kube-system"}
	o := old{book}
	p := pool(t, ranges[0])
	x, err := o.add(t.Context(), p, netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("10.9.0.9"), "web")
	if err != nil {
		t.Fatal(err)
	}
	store := iptest.NewStore()
	disk := &iptest.Disk{}
	agent := node(t, store, book, "n1", disk)
	who := ipam.Owner{Key: ipam.Key{ContainerID: "c1", IfName: "net1"}, Namespace: "new", Pod: "db"}
	_, err = agent.Take(t.Context(), who, []ipam.Want{{Pool: p, Static: x}})
	if ipam.ReasonOf(err) != ipam.Taken || !strings.Contains(err.Error(), "old/web") {
		t.Errorf("%v", err)
	}
	for range 2 { // and once more: nothing is written twice
		got, err := agent.Take(t.Context(), who, []ipam.Want{{Pool: p}})
		if err != nil || got[0].Address.Addr() == x {
			t.Fatalf("%v, %v", got, err)
		}
	}
	if n, r := a.left(); n != 2 || r != 2 {
		t.Errorf("%d allocations, %d reservations", n, r)
	}
	// The same sandbox asks again at once after it was freed.
	for range 20 {
		if err := agent.Free(t.Context(), who.Key); err != nil {
			t.Fatal(err)
		}
		if _, err := agent.Take(t.Context(), who, []ipam.Want{{Pool: p}}); err != nil {
			t.Fatal(err)
		}
	}
	agent.leave(t.Context())
	if n, r := a.left(); n != 2 || r != 2 {
		t.Errorf("after it asked again: %d allocations, %d reservations", n, r)
	}
	entries, err := agent.Book.Entries(t.Context())
	if err != nil || len(entries) != 1 || entries[0].Owner != who || entries[0].Range != p.Prefix {
		t.Errorf("%+v, %v", entries, err)
	}
	a.mu.Lock()
	a.away = true
	a.mu.Unlock()
	short, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if _, err := agent.Take(short, ipam.Owner{Key: ipam.Key{ContainerID: "c2", IfName: "net1"}}, []ipam.Want{{Pool: p}}); ipam.ReasonOf(err) != ipam.Unavailable {
		t.Errorf("%v", err)
	}
	if err := agent.Free(t.Context(), who.Key); err != nil {
		t.Errorf("a Pod is deleted while the API server is away: %v", err)
	}
	a.mu.Lock()
	a.away = false
	a.mu.Unlock()
	agent.leave(t.Context())
	// An agent that was killed: the next one knows its bookings again at its first look, and they end with the sandbox.
	after := ipam.Owner{Key: ipam.Key{ContainerID: "c3", IfName: "net1"}, Namespace: "new", Pod: "late"}
	if _, err := agent.Take(t.Context(), after, []ipam.Want{{Pool: p}}); err != nil {
		t.Fatal(err)
	}
	heir := New(agent.Allocator, agent.Book, agent.Log)
	if err := heir.sweep(t.Context(), map[ipam.Key]bool{}); err != nil {
		t.Fatal(err)
	}
	if n, r := a.left(); n != 2 || r != 2 {
		t.Errorf("an interface lives: %d allocations, %d reservations", n, r)
	}
	if err := heir.Free(t.Context(), after.Key); err != nil {
		t.Fatal(err)
	}
	heir.leave(t.Context())
	if n, r := a.left(); n != 1 || r != 1 {
		t.Errorf("freed by the next agent: %d allocations, %d reservations", n, r)
	}
	if _, err := agent.Take(t.Context(), after, []ipam.Want{{Pool: p}}); err != nil {
		t.Fatal(err)
	}
	if err := agent.Allocator.Free(t.Context(), after.Key); err != nil {
		t.Fatal(err)
	}
	again := New(agent.Allocator, agent.Book, agent.Log) // freed while no agent ran
	suspects := map[ipam.Key]bool{}
	for range 2 {
		if err := again.sweep(t.Context(), suspects); err != nil {
			t.Fatal(err)
		}
	}
	if n, r := a.left(); n != 1 || r != 1 {
		t.Errorf("at the end: %d allocations, %d reservations", n, r)
	}
}

// A Pod of a StatefulSet is deleted by force and comes back on a node with whereabouts while its old sandbox still runs here. Whereabouts
// gives an interface what its pool has for the Pod and the interface of that name, so a booking must not look like that.
func TestBookingIsNoAddressOfTheNextPodOfThatName(t *testing.T) {
	a, client := newAPI(t)
	book := &Book{Client: client, Namespace: "kube-system", Node: "n1"}
	p := pool(t, ranges[0])
	e := Entry{Owner: ipam.Owner{Key: ipam.Key{ContainerID: "c1", IfName: "net1"}, Namespace: "old", Pod: "web-0"},
		Address: netip.MustParseAddr("10.9.0.1"), Range: p.Prefix, Of: *p.Whereabouts}
	if holder, err := book.Enter(t.Context(), e); holder != "" || err != nil {
		t.Fatal(holder, err)
	}
	x, err := old{book}.add(t.Context(), p, e.Address, netip.MustParseAddr("10.9.0.9"), "web-0")
	if err != nil || x == e.Address {
		t.Errorf("whereabouts gives %s to the new Pod, and the old one has %s: %v", x, e.Address, err)
	}
	if err := book.Leave(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if n, r := a.left(); n != 1 || r != 1 {
		t.Errorf("%d allocations, %d reservations, and the new Pod needs one of each", n, r)
	}
}

// The reconciler of whereabouts frees the address of a Pod whose network-status it does not see. The booking is made again while the Pod
// has the address.
func TestBookingThatIsLostIsMadeAgain(t *testing.T) {
	a, client := newAPI(t)
	agent := node(t, iptest.NewStore(), &Book{Client: client, Namespace: "kube-system"}, "n1", &iptest.Disk{})
	p := pool(t, ranges[0])
	who := ipam.Owner{Key: ipam.Key{ContainerID: "c1", IfName: "net1"}, Namespace: "new", Pod: "db"}
	if _, err := agent.Take(t.Context(), who, []ipam.Want{{Pool: p}}); err != nil {
		t.Fatal(err)
	}
	a.mu.Lock()
	clear(a.objects)
	a.mu.Unlock()
	if err := agent.sweep(t.Context(), map[ipam.Key]bool{}); err != nil {
		t.Fatal(err)
	}
	if n, r := a.left(); n != 1 || r != 1 {
		t.Errorf("%d allocations, %d reservations", n, r)
	}
}
