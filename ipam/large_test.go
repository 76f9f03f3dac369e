package ipam_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/ipam/iptest"
)

// The smallest subnets give what they have, and no more.
func TestSmallestSubnets(t *testing.T) {
	for cidr, want := range map[string]string{
		"10.1.2.8/31": "10.1.2.8/31 10.1.2.9/31", "10.1.2.8/32": "10.1.2.8/32", "10.1.2.8/30": "10.1.2.9/30 10.1.2.10/30",
		"fd00::8/127": "fd00::8/127 fd00::9/127", "fd00::8/128": "fd00::8/128", "fd00::8/126": "fd00::9/126 fd00::a/126 fd00::b/126",
	} {
		bubble(t, func(t *testing.T) {
			m := newMachine(t, iptest.NewStore(), 1, 1)
			var got []string
			for range strings.Fields(want) {
				got = append(got, m.take(nobody("a"), anyOf(poolOf(cidr))))
			}
			if s := strings.Join(got, " "); s != want {
				t.Errorf("%s gave %s, want %s", cidr, s, want)
			}
			m.refused(nobody("b"), anyOf(poolOf(cidr)), ipam.PoolFull)
		})
	}
}

// Two domains may have one subnet: each gives out all of it.
func TestTwoDomainsWithOneSubnet(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		one, two := newMachine(t, store, 1, 2), newMachine(t, store, 2, 2)
		blue, red := poolOf("10.1.2.0/29"), poolOf("10.1.2.0/29")
		red.Domain = "red"
		seen := map[string]bool{}
		for i := range 12 {
			m, p := one, blue
			if i%2 == 1 {
				m, p = two, red
			}
			at := p.Domain + " " + m.take(nobody("a"), anyOf(p))
			if seen[at] {
				t.Errorf("%s twice", at)
			}
			seen[at] = true
		}
		one.refused(nobody("b"), anyOf(blue), ipam.PoolFull)
		two.refused(nobody("b"), anyOf(red), ipam.PoolFull)
	})
}

// What a pool costs does not grow with its size: a /48 is as a /120.
func TestVastSubnetsAreNotScanned(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newMachine(t, iptest.NewStore(), 1, 5)
		begun := time.Now()
		for _, cidr := range []string{"fd00:1::/48", "fd00:2::/64", "fd00::/8", "::/0", "10.0.0.0/8"} {
			p := poolOf(cidr)
			p.Domain = "vast"
			o := nobody("a")
			m.take(o, anyOf(p))
			m.take(nobody("b"), anyOf(p))
			m.free(o)
			last := p.Prefix.Addr()
			for range 1000 {
				last = last.Next()
			}
			m.take(nobody("c"), []ipam.Want{{Pool: p, Static: last}})
		}
		if d := time.Since(begun); d > 5*time.Second {
			t.Errorf("took %v of the store's time", d)
		}
	})
}

// A pool that is edited keeps what is held, and gives out by what it says now.
func TestPoolIsEditedUnderUse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		one, two := newMachine(t, store, 1, 2), newMachine(t, store, 2, 2)
		ranged := func(text string) ipam.Pool {
			p := poolOf("10.1.2.0/24")
			r, err := ipam.ParseRange(text)
			if err != nil {
				t.Fatal(err)
			}
			p.Ranges = []ipam.Range{r}
			return p
		}
		var owners []ipam.Owner
		for range 3 {
			o := nobody("a")
			owners = append(owners, o)
			one.take(o, anyOf(ranged("10.1.2.10-10.1.2.12")))
		}
		one.refused(nobody("b"), anyOf(ranged("10.1.2.10-10.1.2.12")), ipam.PoolFull)
		if got := two.take(nobody("c"), anyOf(ranged("10.1.2.10-10.1.2.13"))); got != "10.1.2.13/24" { // grown
			t.Errorf("grown: %s", got)
		}
		if got := one.take(owners[2], anyOf(ranged("10.1.2.10-10.1.2.11"))); got != "10.1.2.12/24" { // shrunk: it stays
			t.Errorf("shrunk: %s", got)
		}
		one.free(owners[2])
		time.Sleep(time.Second)
		one.refused(nobody("d"), anyOf(ranged("10.1.2.10-10.1.2.11")), ipam.PoolFull)
		excluded := ranged("10.1.2.10-10.1.2.12") // a used one is excluded: it stays, and is not given again
		excluded.Exclude = []ipam.Range{{First: netip.MustParseAddr("10.1.2.10"), Last: netip.MustParseAddr("10.1.2.10")}}
		one.take(owners[0], anyOf(excluded))
		one.free(owners[0])
		excluded.Gateway = netip.MustParseAddr("10.1.2.12") // so does one that becomes the gateway
		one.refused(nobody("e"), anyOf(excluded), ipam.PoolFull)
		one.refused(nobody("f"), static(excluded, "10.1.2.12"), ipam.Excluded)
		grants, err := two.a.Take(context.Background(), owners[0], static(excluded, "10.1.2.13"))
		if err == nil {
			t.Errorf("got %v, which is outside the ranges", grants)
		}
	})
}

// BenchmarkClaim is what it costs to find and lease the next block, however
// many are leased already and however large the pool is.
func BenchmarkClaim(b *testing.B) {
	for _, cidr := range []string{"10.0.0.0/8", "fd00::/64", "fd00::/48"} {
		for _, held := range []int{0, 2000} {
			b.Run(fmt.Sprintf("%s/blocks=%d", strings.ReplaceAll(cidr, "/", "-"), held), func(b *testing.B) {
				a, err := ipam.New(ipam.Options{Node: "n", NodeUID: "u", Store: iptest.NewStore().As("n"), Log: new(iptest.Disk).Boot(), Nodes: 1000})
				if err != nil {
					b.Fatal(err)
				}
				ctx, cancel := context.WithCancel(context.Background())
				done := make(chan struct{})
				go func() { defer close(done); _ = a.Run(ctx) }()
				defer func() { cancel(); <-done }()
				p := poolOf(cidr)
				p.BlockSize = 1 // each take leases a block
				i := 0
				take := func() {
					i++
					o := ipam.Owner{Key: ipam.Key{ContainerID: fmt.Sprint(i), IfName: "net1"}, Namespace: "a", Pod: "b"}
					if _, err := a.Take(ctx, o, anyOf(p)); err != nil {
						b.Fatal(err)
					}
				}
				for range held {
					take()
				}
				for b.Loop() {
					take()
				}
			})
		}
	}
}
