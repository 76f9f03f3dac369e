package vip

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/kernel/fence"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
	"github.com/tsunagu-net/tsunagu/vip/datagram"
	"github.com/tsunagu-net/tsunagu/vip/lease"
)

// site is a namespace with the addresses of a few nodes, and a judge that
// knows until when each may use the owned address.
type site struct {
	ns   *netns.Namespace
	key  datagram.Key
	dirs map[netip.Addr]string

	mu    sync.Mutex
	until map[netip.Addr]lease.Instant
	both  []string
}

func newSite(t *testing.T) *site {
	t.Helper()
	name := fmt.Sprintf("tst-vip-%d-%s", os.Getpid(), strings.ToLower(t.Name()[len(t.Name())-4:]))
	ns, err := netns.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ns.Close()
		if err := netns.Delete(name); err != nil {
			t.Error(err)
		}
	})
	key, err := datagram.NewKey([]byte("the nodes' common secret"))
	if err != nil {
		t.Fatal(err)
	}
	err = ns.Do(func() error {
		out, err := exec.Command("sh", "-c", "ip link set lo up; for i in 1 2 3 4; do ip addr add 10.7.0.$i/32 dev lo; done").CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return &site{ns: ns, key: key, dirs: map[netip.Addr]string{}, until: map[netip.Addr]lease.Instant{}}
}

func node(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 7, 0, byte(i)}) }

func now() lease.Instant { return lease.Instant(fence.Now()) }

// allow is an Announcer of which only Allow is looked at.
type allow func(lease.Instant) error

func (f allow) Allow(until lease.Instant) error { return f(until) }
func (allow) Own(bool)                          {}

// run starts a node; stop ends it on purpose.
func (s *site) run(t *testing.T, i int, change func(*Config)) (a *Agent, stop func()) {
	t.Helper()
	me := node(i)
	if s.dirs[me] == "" {
		s.dirs[me] = t.TempDir()
	}
	c := Config{
		Node: me, Weight: 1, Key: s.key, StateDir: s.dirs[me], RunDir: s.dirs[me], Now: now, Log: slog.New(slog.DiscardHandler),
		Announcer: allow(func(until lease.Instant) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			at := now()
			if s.until[me] = until; until > at {
				for other, u := range s.until {
					if other != me && u > at {
						s.both = append(s.both, fmt.Sprintf("%s and %s", me, other))
					}
				}
			}
			return nil
		}),
	}
	change(&c)
	err := s.ns.Do(func() (err error) { a, err = New(c); return err })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("%s: %v", me, err)
		}
	})
	t.Cleanup(stop)
	if err := a.SetReady(ctx, true); err != nil {
		t.Fatal(err)
	}
	return a, stop
}

// owner waits until somebody owns who is not one of those.
func (s *site) owner(t *testing.T, not ...netip.Addr) (netip.Addr, time.Duration) {
	t.Helper()
	began := time.Now()
	for time.Since(began) < 20*time.Second {
		s.mu.Lock()
		at := now()
		for a, u := range s.until {
			if u > at && (len(not) == 0 || a != not[0]) {
				s.mu.Unlock()
				return a, time.Since(began)
			}
		}
		s.mu.Unlock()
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("nobody owns after %s", time.Since(began))
	return netip.Addr{}, 0
}

func (s *site) verdict(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.both) > 0 {
		t.Errorf("two owners at a time: %s", strings.Join(s.both, "; "))
	}
}

func TestThreeNodesOneOwner(t *testing.T) {
	s := newSite(t)
	peers := func(c *Config) { c.Peers = []netip.Addr{node(1), node(2), node(3)} }
	agents := map[netip.Addr]*Agent{}
	stops := map[netip.Addr]func(){}
	for i := 1; i <= 3; i++ {
		agents[node(i)], stops[node(i)] = s.run(t, i, peers)
	}
	first, took := s.owner(t)
	t.Logf("%s owns after %s", first, took)
	stops[first]()
	second, took := s.owner(t, first)
	t.Logf("%s owns %s after the end of %s", second, took, first)
	heir := node(1)
	for heir == first || heir == second {
		heir = heir.Next()
	}
	if err := agents[second].Handover(context.Background(), heir); err != nil {
		t.Fatal(err)
	}
	third, took := s.owner(t, second)
	t.Logf("%s owns %s after %s handed over", third, took, second)
	if third != heir {
		t.Errorf("%s owns, and %s was told to", third, heir)
	}
	if err := agents[second].Handover(context.Background(), heir); err == nil || !strings.Contains(err.Error(), "does not own") {
		t.Errorf("a node that does not own hands over: %v", err)
	}
	s.verdict(t)
}

// The first node is alone; others are taken in, and remember it.
func TestNodesAreTakenIn(t *testing.T) {
	s := newSite(t)
	first, stopFirst := s.run(t, 1, func(*Config) {})
	if who, took := s.owner(t); who != node(1) || took > 2*time.Second {
		t.Errorf("%s owns after %s", who, took)
	}
	join := func(c *Config) { c.Join = []netip.Addr{node(1)} }
	_, stopSecond := s.run(t, 2, join)
	s.run(t, 3, join)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		status, err := first.Status(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if status.Members.String() == "10.7.0.1,10.7.0.2,10.7.0.3" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the members are %s", status.Members)
		}
	}
	stopSecond()
	again, _ := s.run(t, 2, join)
	stopFirst()
	if who, _ := s.owner(t, node(1)); who == node(1) {
		t.Errorf("%s owns after its end", who)
	}
	if status, err := again.Status(context.Background()); err != nil || len(status.Members.In) != 3 {
		t.Errorf("after a restart the node knows %s (%v)", status.Members, err)
	}
	s.verdict(t)
}

func TestKeptList(t *testing.T) {
	path := filepath.Join(t.TempDir(), "members.json")
	if _, known, err := readKept(path); known || err != nil {
		t.Errorf("nothing was kept: %v, %v", known, err)
	}
	want := lease.Kept{Members: lease.Members{Version: lease.Version{Epoch: 7, Count: 2}, In: []lease.ID{"a", "b"}, Out: []lease.ID{"a"}}, Floor: 7}
	if err := writeKept(path, want); err != nil {
		t.Fatal(err)
	}
	got, known, err := readKept(path)
	if err != nil || !known || !got.Members.Equal(want.Members) || got.Floor != want.Floor {
		t.Errorf("%+v, %v, %v; want %+v", got, known, err, want)
	}
	for _, bad := range []string{"", "{", `{"members":[]}`} {
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := readKept(path); err == nil || !strings.Contains(err.Error(), "restore it") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestDatagramsOfOthersAreNotAccepted(t *testing.T) {
	s := newSite(t)
	var said strings.Builder
	var mu sync.Mutex
	log := slog.New(slog.NewTextHandler(writer(func(b []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return said.Write(b)
	}), nil))
	s.run(t, 1, func(c *Config) { c.Log = log })
	other, err := datagram.NewKey([]byte("the secret of another cluster"))
	if err != nil {
		t.Fatal(err)
	}
	s.run(t, 2, func(c *Config) { c.Key, c.Join = other, []netip.Addr{node(1)} })
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		mu.Lock()
		text := said.String()
		mu.Unlock()
		if strings.Contains(text, "another cluster") && strings.Contains(text, "10.7.0.2") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("nothing is said of a datagram of another cluster:\n%s", text)
		}
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }
