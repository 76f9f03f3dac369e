package ipam_test

import (
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/ipam/iptest"
)

// vm is the claim of a virtual machine, taken by a Pod of it.
func vm(migrates bool) *ipam.Claiming {
	c := *sts("vm", "")
	c.Make.Pod, c.Make.Holder = "", ipam.Holder{}
	c.Migrates = migrates
	return &c
}

// P22: while a virtual machine migrates the Pods on both nodes have its address and MAC, and no third does; then one has it, whichever
// of them ends first and in whatever way.
func TestP22LiveMigration(t *testing.T) {
	p := poolOf("10.1.4.0/24")
	for _, c := range []struct {
		name string
		ends func(m *migration) (left *machine, by ipam.Owner)
	}{
		{"done", func(m *migration) (*machine, ipam.Owner) { m.one.free(m.source); return m.two, m.target }},
		{"cancelled", func(m *migration) (*machine, ipam.Owner) { m.two.free(m.target); return m.one, m.source }},
		{"the source's node is lost", func(m *migration) (*machine, ipam.Owner) {
			m.one.kill()
			m.lose(m.one.uid)
			return m.two, m.target
		}},
		{"the target's node is lost", func(m *migration) (*machine, ipam.Owner) {
			m.two.kill()
			m.lose(m.two.uid)
			return m.one, m.source
		}},
		{"both agents are killed, and the source ends", func(m *migration) (*machine, ipam.Owner) {
			m.one.kill()
			m.two.kill()
			m.one.boot()
			m.two.boot()
			m.one.free(m.source)
			return m.two, m.target
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				store := iptest.NewStore()
				m := &migration{t: t, store: store, one: newMachine(t, store, 1, 3), two: newMachine(t, store, 2, 3), source: member("vm-a"), target: member("vm-b")}
				three := newMachine(t, store, 3, 3)
				had := m.one.take(m.source, claiming(vm(false), anyOf(p)))
				m.two.refuses(member("vm-x"), claiming(vm(false), anyOf(p)), ipam.ClaimInUse, "vm-a")
				if got := m.two.take(m.target, claiming(vm(true), anyOf(p))); got != had {
					t.Fatalf("the target has %s, the source %s", got, had)
				}
				if got := m.two.take(m.target, claiming(vm(true), anyOf(p))); got != had {
					t.Errorf("asked again the target has %s", got)
				}
				three.refuses(member("vm-c"), claiming(vm(true), anyOf(p)), ipam.ClaimInUse, "vm-b")
				three.refuses(member("vm-d"), claiming(vm(false), anyOf(p)), ipam.ClaimInUse)
				three.refuses(nobody("other"), static(p, had[:len(had)-3]), ipam.Taken)

				left, by := c.ends(m)
				time.Sleep(5 * time.Minute) // every check of what is held
				x := m.only()
				if x.Owner.Key != by.Key || x.Incoming != (ipam.Use{}) || x.NodeUID != left.uid {
					t.Errorf("at the end it is %+v", x)
				}
				three.refuses(member("vm-d"), claiming(vm(false), anyOf(p)), ipam.ClaimInUse, by.Pod)
				left.free(by)
				time.Sleep(time.Second)
				if got := three.take(member("vm-e"), claiming(vm(false), anyOf(p))); got != had {
					t.Errorf("the next has %s", got)
				}
			})
		})
	}
}

// A target that lost its record together with its sandbox does not keep the next sandbox of the migration out.
func TestMigrationGoesOnAfterARecordIsLost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		p := poolOf("10.1.4.0/24")
		one, two := newMachine(t, store, 1, 2), newMachine(t, store, 2, 2)
		had := one.take(member("vm-a"), claiming(vm(false), anyOf(p)))
		two.take(member("vm-b"), claiming(vm(true), anyOf(p)))
		two.kill()
		two.disk.Lose()
		two.boot()
		again := member("vm-b")
		again.ContainerID += "-again"
		if got := two.take(again, claiming(vm(true), anyOf(p))); got != had {
			t.Errorf("it has %s, want %s", got, had)
		}
	})
}

// migration is a virtual machine on its way from one node to another.
type migration struct {
	t              *testing.T
	store          *iptest.Store
	one, two       *machine
	source, target ipam.Owner
}

func (m *migration) only() ipam.Address {
	m.t.Helper()
	_, _, all := m.store.Objects()
	if len(all) != 1 {
		m.t.Fatalf("objects are %+v", all)
	}
	return all[0]
}

// lose does what the controller does when a node is gone.
func (m *migration) lose(uid string) {
	m.t.Helper()
	if _, err := m.store.As("controller").UpdateAddress(m.t.Context(), m.only().WithoutNode(uid)); err != nil {
		m.t.Fatal(err)
	}
}
