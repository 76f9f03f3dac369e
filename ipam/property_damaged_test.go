package ipam_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/ipam/iptest"
)

// P19: records that nobody can read do not keep an agent from starting. The
// others are used, it is said which are lost, and what is known of them
// otherwise comes back by Restore.
func TestP19RecordsThatCannotBeRead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		m := newMachine(t, store, 1, 3)
		p := poolOf("10.1.2.0/24")
		good, bad := nobody("good"), nobody("bad")
		kept := m.take(good, anyOf(p))
		lost := m.take(bad, anyOf(p))
		rights := m.a.Rights(bad.Key)
		m.kill()
		disk := m.disk.Boot()
		var damaged string
		disk.All(func(key string, _ []byte) {
			if strings.Contains(key, bad.ContainerID) {
				damaged = key
			}
		})
		for _, key := range []string{damaged, strings.Replace(damaged, bad.ContainerID, "nobody", 1)} {
			if err := disk.Put(key, []byte(`{"owner":`)); err != nil {
				t.Fatal(err)
			}
		}
		a, err := ipam.New(ipam.Options{Node: m.name, NodeUID: m.uid, Store: store.As(m.name), Log: disk, Nodes: 3})
		var d *ipam.DamagedLog
		if a == nil || !errors.As(err, &d) || len(d.Keys) != 2 || !strings.Contains(err.Error(), damaged) {
			t.Fatalf("two records are damaged: %v, %v", a, err)
		}
		if err := a.Restore(rights, true); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- a.Run(ctx) }()
		defer func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}()
		for _, want := range []struct {
			owner   ipam.Owner
			address string
		}{{good, kept}, {bad, lost}} {
			got, err := a.Take(context.Background(), want.owner, anyOf(p))
			if err != nil || got[0].Address.String() != want.address {
				t.Errorf("%s has %v (%v), had %s", want.owner.Key, got, err, want.address)
			}
		}
		fresh, err := a.Take(context.Background(), nobody("new"), anyOf(p))
		if err != nil || fresh[0].Address.String() == lost || fresh[0].Address.String() == kept {
			t.Errorf("a new Pod gets %v (%v)", fresh, err)
		}
		if _, err := ipam.New(ipam.Options{Node: m.name, NodeUID: m.uid, Store: store.As(m.name), Log: disk, Nodes: 3}); err != nil {
			t.Errorf("the next start finds it again: %v", err)
		}
	})
}
