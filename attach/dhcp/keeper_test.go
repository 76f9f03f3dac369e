package dhcp

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/tsunagu-net/tsunagu/ipam"
)

func lan() *segment { return newSegment(80*time.Second, "10.0.0.50", "10.0.0.51") }

func TestLeaseIsAcquiredRenewedAndGivenBack(t *testing.T) {
	on(t, lan, func(m *machine) {
		m.want("lease", m.acquire(net1), "10.0.0.50/24")
		m.want("said", m.heard(), "0s DISCOVER to all, 0s REQUEST to all")
		time.Sleep(90 * time.Second)
		m.want("said", m.heard(), "40s REQUEST to 10.0.0.1, 1m20s REQUEST to 10.0.0.1")
		if err := m.keeper.Release(m.Context(), net1.Key); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		m.want("said", m.heard(), "1m30s RELEASE to 10.0.0.1")
		m.want("told", m.pod.heard(), "")
		if len(m.has) != 0 || len(m.keeper.Keys()) != 0 {
			t.Error("something is left")
		}
	})
}

// A server that is away is asked again in shorter and shorter times: alone until T2, then with all others, until the lease ends.
func TestServerThatIsAway(t *testing.T) {
	on(t, lan, func(m *machine) {
		m.acquire(net1)
		m.set(func() { m.up = false })
		m.heard()
		time.Sleep(79 * time.Second)
		m.want("said", m.heard(), "40s REQUEST to 10.0.0.1, 55.3s REQUEST to 10.0.0.1, 1m2.9s REQUEST to 10.0.0.1, 1m8.4s REQUEST to 10.0.0.1, 1m10s REQUEST to all, 1m15.5s REQUEST to all")
		m.want("told", m.pod.heard(), "")
		time.Sleep(2 * time.Second)
		m.want("told", m.pod.heard(), "net1 because its lease of 10.0.0.50 has ended, server 10.0.0.1 did not renew it")
		time.Sleep(time.Minute)
		m.set(func() { m.up = true })
		m.heard()
		time.Sleep(time.Minute)
		m.want("told", m.pod.heard(), "net1 10.0.0.50/24")
		if said := m.heard(); !strings.HasPrefix(strings.SplitN(said, " ", 2)[1], "REQUEST to all") || strings.Contains(said, "DISCOVER") {
			t.Errorf("the same address is asked for first: %s", said)
		}
	})
}

// Any server may answer from T2 on.
func TestRebind(t *testing.T) {
	on(t, lan, func(m *machine) {
		m.acquire(net1)
		m.set(func() { m.up = false })
		time.Sleep(70*time.Second - time.Millisecond)
		m.set(func() { m.up = true })
		m.heard()
		time.Sleep(time.Second)
		m.want("said", m.heard(), "1m10s REQUEST to all")
		time.Sleep(40 * time.Second)
		m.want("said", m.heard(), "1m50s REQUEST to 10.0.0.1")
		m.want("told", m.pod.heard(), "")
	})
}

// A refusal to renew ends the use of the address at once, and another is asked for.
func TestNAK(t *testing.T) {
	on(t, lan, func(m *machine) {
		m.acquire(net1)
		m.set(func() { m.has, m.pool = map[string]netip.Addr{}, m.pool[1:] })
		time.Sleep(41 * time.Second)
		m.want("told", m.pod.heard(), "net1 because server 10.0.0.1 does not let it keep 10.0.0.50, net1 10.0.0.51/24")
	})
}

// A server that renews with other options, or another address, is followed.
func TestChangeAtRenewal(t *testing.T) {
	on(t, lan, func(m *machine) {
		m.acquire(net1)
		m.set(func() { m.more = func(r *dhcpv4.DHCPv4) { r.UpdateOption(dhcpv4.OptDNS(net.IP{10, 0, 0, 2})) } })
		m.pod.refuse(true)
		time.Sleep(41 * time.Second)
		m.pod.refuse(false)
		time.Sleep(2 * time.Second)
		m.want("told", m.pod.heard(), "net1 10.0.0.50/24")
		m.set(func() { m.more = func(r *dhcpv4.DHCPv4) { r.YourIPAddr = net.IP{10, 0, 0, 99} } })
		time.Sleep(40 * time.Second)
		m.want("told", m.pod.heard(), "net1 10.0.0.99/24")
	})
}

// An agent that was killed goes on with the lease: it asks for nothing, and renews when it is time.
func TestRestart(t *testing.T) {
	on(t, lan, func(m *machine) {
		m.acquire(net1)
		m.heard()
		m.restart(10 * time.Second)
		time.Sleep(29 * time.Second)
		m.want("said", m.heard(), "")
		time.Sleep(2 * time.Second)
		m.want("said", m.heard(), "40s REQUEST to 10.0.0.1")
		m.restart(35 * time.Second) // past T1
		time.Sleep(5 * time.Second)
		m.want("said", m.heard(), "1m20s REQUEST to 10.0.0.1")
		m.restart(75 * time.Second) // past T2
		time.Sleep(time.Second)
		m.want("said", m.heard(), "2m36s REQUEST to all")
		m.want("told", m.pod.heard(), "")
		m.restart(100 * time.Second) // past the end
		time.Sleep(time.Second)
		m.want("told", m.pod.heard(), "net1 because its lease of 10.0.0.50 has ended, server 10.0.0.1 did not renew it, net1 10.0.0.50/24")
		m.want("said", m.heard(), "4m17s REQUEST to all")
		m.restart(0)
		if err := m.keeper.Release(m.Context(), net1.Key); err != nil {
			t.Fatal(err)
		}
		m.want("said", m.heard(), "4m18s RELEASE to 10.0.0.1")
	})
}

// A follower that was not told before the agent died is told by the next.
func TestDeathBeforeTheFollowerKnows(t *testing.T) {
	on(t, lan, func(m *machine) {
		m.acquire(net1)
		m.pod.refuse(true)
		m.set(func() { m.more = func(r *dhcpv4.DHCPv4) { r.UpdateOption(dhcpv4.OptDNS(net.IP{10, 0, 0, 2})) } })
		time.Sleep(41 * time.Second)
		m.stop()
		m.disk.Kill()
		m.pod.refuse(false)
		m.boot()
		time.Sleep(time.Second)
		m.want("told", m.pod.heard(), "net1 10.0.0.50/24")
	})
}

func TestNobodyAnswers(t *testing.T) {
	on(t, lan, func(m *machine) {
		m.set(func() { m.up = false })
		began := time.Now()
		got := m.acquire(net1)
		for _, want := range []string{"default/lan", "net1", "DISCOVER was sent 3 times in 8 s", "255.255.255.255 port 67", "nobody answered", "tcpdump"} {
			if !strings.Contains(got, want) {
				t.Errorf("%q lacks %q", got, want)
			}
		}
		if took := time.Since(began); took > 8*time.Second {
			t.Errorf("it took %v", took)
		}
		m.want("said", m.heard(), "0s DISCOVER to all, 1s DISCOVER to all, 4s DISCOVER to all")
		if len(m.keeper.Keys()) > 0 {
			t.Error("something is kept")
		}
	})
}

func TestServerThatOffersAndDoesNotGive(t *testing.T) {
	on(t, lan, func(m *machine) {
		m.set(func() { m.mute["REQUEST"] = true })
		if got := m.acquire(net1); !strings.Contains(got, "offered 10.0.0.50, and did not answer the 3 REQUESTs") {
			t.Error(got)
		}
		m.set(func() { m.mute["REQUEST"], m.nak = false, true })
		m.heard()
		if got := m.acquire(net1); !strings.Contains(got, "refused it when it was asked for (NAK)") || !strings.Contains(got, "two servers") {
			t.Error(got)
		}
		if n := strings.Count(m.heard(), "REQUEST"); n != mostRefusals {
			t.Errorf("it was tried %d times", n)
		}
	})
}

// An address that somebody has is declined, and the next is taken.
func TestAddressThatIsInUse(t *testing.T) {
	on(t, lan, func(m *machine) {
		m.inUse[m.pool[0]] = net.HardwareAddr{2, 0, 0, 0, 0, 9}
		m.want("lease", m.acquire(net1), "10.0.0.51/24")
		m.want("said", m.heard(), "0s DISCOVER to all, 0s REQUEST to all, 0s DECLINE to all, 0s DISCOVER to all, 0s REQUEST to all")
	})
}

// An address that is asked for is got or refused.
func TestWish(t *testing.T) {
	on(t, lan, func(m *machine) {
		a := net1
		a.Wishes = []netip.Addr{netip.MustParseAddr("10.0.0.51")}
		if got := m.acquire(a); !strings.Contains(got, "address 10.0.0.51 is asked for, and the server gives 10.0.0.50") || !strings.Contains(got, "c0ffee/lan/net1") {
			t.Error(got)
		}
		a.Wishes[0] = netip.MustParseAddr("10.0.0.50")
		m.want("lease", m.acquire(a), "10.0.0.50/24")
	})
}

func TestLeaseOfDHCPv6(t *testing.T) {
	six := func() *segment { return newSegment(80*time.Second, "fd00::50") }
	on(t, six, func(m *machine) {
		a := net1
		a.V4, a.V6 = false, true
		m.want("lease", m.acquire(a), "fd00::50/128")
		time.Sleep(45 * time.Second)
		m.want("said", m.heard(), "0s SOLICIT, 0s REQUEST, 40s RENEW")
		m.set(func() { m.up = false })
		m.restart(20 * time.Second)
		time.Sleep(47 * time.Second)
		if said := m.heard(); !strings.Contains(said, "RENEW") || !strings.Contains(said, "1m50s REBIND") {
			t.Error(said)
		}
		m.want("told", m.pod.heard(), "")
		m.set(func() { m.up, m.nak = true, true })
		time.Sleep(10 * time.Second)
		if told := m.pod.heard(); !strings.Contains(told, "net1 because server fe80::1 does not let it keep fd00::50") {
			t.Error(told)
		}
		m.set(func() { m.nak = false })
		time.Sleep(2 * time.Minute)
		m.want("told", m.pod.heard(), "net1 fd00::50/128")
		m.heard()
		if err := m.keeper.Release(m.Context(), a.Key); err != nil {
			t.Fatal(err)
		}
		if said := m.heard(); !strings.HasSuffix(said, " RELEASE") {
			t.Error(said)
		}
	})
}

// Both protocols or none: what one got is given back when the other gets nothing.
func TestBothOrNone(t *testing.T) {
	on(t, lan, func(m *machine) {
		m.set(func() { m.mute["SOLICIT"] = true })
		a := net1
		a.V6 = true
		if got := m.acquire(a); !strings.Contains(got, "SOLICIT was sent 3 times") {
			t.Error(got)
		}
		if said := m.heard(); !strings.HasSuffix(said, "8s RELEASE to 10.0.0.1") {
			t.Error(said)
		}
	})
}

// One keeper keeps a thousand leases without a goroutine for each.
func TestManyLeases(t *testing.T) {
	pool := func() *segment {
		s := newSegment(80 * time.Second)
		for i := range 1000 {
			s.pool = append(s.pool, netip.AddrFrom4([4]byte{10, 0, byte(i / 250), byte(1 + i%250)}))
		}
		return s
	}
	on(t, pool, func(m *machine) {
		for i := range 1000 {
			a := net1
			a.Key = ipam.Key{ContainerID: fmt.Sprintf("c%d", i), IfName: "net1"}
			a.ClientID = a.Key.String()
			m.acquire(a)
			m.set(func() { m.pool = m.pool[1:]; m.pool = append(m.pool, m.pool[0]) })
		}
		m.heard()
		time.Sleep(41 * time.Second)
		if n := strings.Count(m.heard(), "REQUEST to 10.0.0.1"); n != 1000 {
			t.Errorf("%d of 1000 leases were renewed", n)
		}
		synctest.Wait()
		m.want("told", m.pod.heard(), "")
	})
}
