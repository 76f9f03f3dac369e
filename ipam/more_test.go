package ipam_test

import (
	"context"
	"net/netip"
	"slices"
	"testing"

	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/ipam/iptest"
)

// has lists the addresses of an interface.
func (m *machine) has(o ipam.Owner) (all []string) {
	for _, h := range m.a.Held() {
		if h.Owner.Key == o.Key {
			for _, g := range h.Grants {
				all = append(all, g.Address.Addr().String())
			}
		}
	}
	slices.Sort(all)
	return all
}

func (m *machine) keep(o ipam.Owner, addresses ...string) {
	m.t.Helper()
	var stay []netip.Addr
	for _, a := range addresses {
		stay = append(stay, netip.MustParseAddr(a))
	}
	if err := m.a.Keep(context.Background(), o, stay); err != nil {
		m.t.Fatal(err)
	}
}

// An interface that is exchanged for another has the addresses of both until it is decided which of them stays.
func TestTakeMoreThenKeep(t *testing.T) {
	for _, after := range []struct {
		name string
		stay []string
	}{{"the new one", []string{"10.1.2.7", "10.9.0.1"}}, {"the old one", []string{"10.1.2.1"}}} {
		t.Run(after.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				store := iptest.NewStore()
				m := newMachine(t, store, 1, 1)
				blue, red := poolOf("10.1.2.0/24"), poolOf("10.9.0.0/24")
				o, other := nobody("web"), nobody("db")
				m.take(o, anyOf(blue))
				wants := append(static(blue, "10.1.2.7"), anyOf(red)...)
				for range 2 { // it may be said again
					grants, err := m.a.TakeMore(t.Context(), o, wants)
					if err != nil || len(grants) != 2 || grants[0].Address.Addr().String() != "10.1.2.7" {
						t.Fatal(grants, err)
					}
					m.keep(o, "10.1.2.1", grants[0].Address.Addr().String(), grants[1].Address.Addr().String())
				}
				first := m.has(o)
				m.refused(other, static(blue, "10.1.2.1"), ipam.Taken)
				m.refused(other, static(blue, "10.1.2.7"), ipam.Taken)
				m.kill()
				m.boot()
				if got := m.has(o); !slices.Equal(got, first) {
					t.Fatalf("after a crash it has %v, before %v", got, first)
				}
				stay := after.stay
				if len(stay) == 2 {
					stay[1] = first[len(first)-1]
				}
				m.keep(o, stay...)
				if got := m.has(o); !slices.Equal(got, stay) {
					t.Errorf("it kept %v, want %v", got, stay)
				}
				if stay[0] == "10.1.2.7" {
					m.take(other, static(blue, "10.1.2.1"))
				} else {
					m.take(other, static(blue, "10.1.2.7"))
				}
				m.free(o)
				m.free(other)
				if left := m.a.Held(); len(left) > 0 {
					t.Errorf("left: %v", left)
				}
			})
		})
	}
}

// What cannot be given leaves an interface with what it has; an address of its own is given to it again.
func TestTakeMoreIsAllOrNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newMachine(t, iptest.NewStore(), 1, 1)
		blue := poolOf("10.1.2.0/24")
		o, other := nobody("web"), nobody("db")
		m.take(o, static(blue, "10.1.2.5"))
		m.take(other, static(blue, "10.1.2.6"))
		if _, err := m.a.TakeMore(t.Context(), o, append(static(blue, "10.1.2.9"), static(blue, "10.1.2.6")...)); ipam.ReasonOf(err) != ipam.Taken {
			t.Fatal(err)
		}
		if got := m.has(o); !slices.Equal(got, []string{"10.1.2.5"}) {
			t.Errorf("it has %v", got)
		}
		grants, err := m.a.TakeMore(t.Context(), o, static(blue, "10.1.2.5"))
		if err != nil || len(grants) != 1 || grants[0].Address.String() != "10.1.2.5/24" {
			t.Fatal(grants, err)
		}
		m.keep(o, "10.1.2.5")
		if got := m.has(o); !slices.Equal(got, []string{"10.1.2.5"}) {
			t.Errorf("it has %v", got)
		}
		m.keep(o)
		if got := m.has(o); len(got) > 0 {
			t.Errorf("it has %v", got)
		}
		m.take(other, static(blue, "10.1.2.6"))
	})
}

// A quota counts both while there are both, and one afterwards.
func TestTakeMoreAndQuota(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newMachine(t, iptest.NewStore(), 1, 1)
		p := limited("10.1.2.0/24", 2)
		o := nobody("web")
		m.take(o, static(p, "10.1.2.5"))
		if _, err := m.a.TakeMore(t.Context(), o, static(p, "10.1.2.6")); err != nil {
			t.Fatal(err)
		}
		m.refused(nobody("db"), anyOf(p), ipam.QuotaExceeded)
		m.free(o)
		m.take(nobody("db"), anyOf(p))
		m.take(nobody("dc"), anyOf(p))
	})
}
