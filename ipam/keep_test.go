package ipam_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/ipam/iptest"
)

func importedFor(m *machine, pod, ip string) ipam.Address {
	return ipam.Address{Domain: "blue", Address: netip.MustParseAddr(ip), Node: m.name, NodeUID: m.uid, Origin: "whereabouts",
		Owner: ipam.Owner{Key: ipam.Key{ContainerID: "old-" + pod, IfName: "net1"}, Namespace: "test", Pod: pod, UID: pod + "-uid"}}
}

// An imported address is never given out: neither of a block that is claimed
// later nor of one that a node has already. Importing twice changes nothing.
func TestKeepIsHeardByEveryBlock(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		one, two := newMachine(t, store, 1, 2), newMachine(t, store, 2, 2)
		p := poolOf("10.1.2.0/28")
		if got := one.take(nobody("first"), anyOf(p)); got != "10.1.2.1/28" {
			t.Fatalf("have %s", got)
		}
		for _, ip := range []string{"10.1.2.2", "10.1.2.3", "10.1.2.9"} {
			want := importedFor(two, "legacy"+ip, ip)
			if _, kept, err := ipam.Keep(context.Background(), store.As("import"), want); err != nil || kept != ipam.KeptNew {
				t.Fatalf("%s: %v, %v", ip, kept, err)
			}
			if _, kept, err := ipam.Keep(context.Background(), store.As("import"), want); err != nil || kept != ipam.KeptAlready {
				t.Fatalf("%s again: %v, %v", ip, kept, err)
			}
		}
		var all []string
		for i := range 10 {
			all = append(all, []*machine{one, two}[i%2].take(nobody("new"), anyOf(p)))
		}
		said := strings.Join(all, " ")
		for _, ip := range []string{"10.1.2.2/", "10.1.2.3/", "10.1.2.9/"} {
			if strings.Contains(said, ip) {
				t.Errorf("%s was imported and is given out: %s", ip, said)
			}
		}
		one.refused(nobody("eleventh"), anyOf(p), ipam.PoolFull)
	})
}

// What a Pod of tsunagu has is not taken from it; the object goes again.
func TestKeepMeetsAnAddressInUse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		one := newMachine(t, store, 1, 2)
		owner := nobody("first")
		one.take(owner, anyOf(poolOf("10.1.2.0/28")))
		_, _, err := ipam.Keep(context.Background(), store.As("import"), importedFor(one, "legacy", "10.1.2.1"))
		if ipam.ReasonOf(err) != ipam.Taken || !strings.Contains(err.Error(), "Pod test/first") {
			t.Fatalf("have %v", err)
		}
		if !ipam.IsOwn(err, owner) || ipam.IsOwn(err, nobody("other")) {
			t.Errorf("whose it is was misread: %v", err)
		}
		if left, _ := store.As("import").ListAddresses(context.Background(), ipam.Scope{}); len(left) != 0 {
			t.Errorf("left: %v", left)
		}
	})
}

// A node that does not answer may give the address out until it does: Keep says
// so, the object stays, and the node honours it when it comes back.
func TestKeepWithoutAnAnswer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		one := newMachine(t, store, 1, 2)
		p := poolOf("10.1.2.0/28")
		one.take(nobody("first"), anyOf(p))
		one.kill()
		want := importedFor(one, "legacy", "10.1.2.2")
		_, _, err := ipam.Keep(context.Background(), store.As("import"), want)
		if ipam.ReasonOf(err) != ipam.Unavailable || !strings.Contains(err.Error(), "node-1") {
			t.Fatalf("have %v", err)
		}
		one.boot()
		<-one.a.Ready()
		if got := one.take(nobody("second"), anyOf(p)); got != "10.1.2.3/28" {
			t.Errorf("have %s", got)
		}
		if _, kept, err := ipam.Keep(context.Background(), store.As("import"), want); err != nil || kept != ipam.KeptAlready {
			t.Errorf("have %v, %v", kept, err)
		}
	})
}

// A reserved address is refused with the words of who reserved it.
func TestReservedIsRefusedInItsOwnWords(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		one := newMachine(t, store, 1, 2)
		p := poolOf("10.1.2.0/24")
		reserve := ipam.Address{Domain: "blue", Address: netip.MustParseAddr("10.1.2.77"), Reserved: "printer on floor 3"}
		if _, _, err := ipam.Keep(context.Background(), store.As("import"), reserve); err != nil {
			t.Fatal(err)
		}
		if err := one.refused(nobody("wants"), static(p, "10.1.2.77"), ipam.Taken); !strings.Contains(err.Error(), "printer on floor 3") {
			t.Errorf("have %v", err)
		}
		reserve.Reserved = "something else"
		if _, _, err := ipam.Keep(context.Background(), store.As("import"), reserve); ipam.ReasonOf(err) != ipam.Taken || !strings.Contains(err.Error(), "printer on floor 3") {
			t.Errorf("have %v", err)
		}
	})
}

// The sandbox's DEL frees what was imported for it, and nothing else.
func TestImportedGoesWithItsSandbox(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := iptest.NewStore()
		one := newMachine(t, store, 1, 2)
		for pod, ip := range map[string]string{"a": "10.1.2.5", "b": "10.1.2.6"} {
			if _, _, err := ipam.Keep(context.Background(), store.As("import"), importedFor(one, pod, ip)); err != nil {
				t.Fatal(err)
			}
		}
		<-one.a.Ready()
		orphans, err := one.a.Orphans(context.Background())
		if err != nil || len(orphans) != 2 || orphans[0].Origin != "whereabouts" {
			t.Fatalf("have %v, %v", orphans, err)
		}
		one.a.FreeImported("old-a", "net2") // another interface
		one.a.FreeImported("old-a", "net1")
		time.Sleep(2 * time.Second)
		left, err := store.As("import").ListAddresses(context.Background(), ipam.Scope{})
		if err != nil || len(left) != 1 || left[0].Owner.Pod != "b" {
			t.Errorf("left %v, %v", left, err)
		}
		one.a.FreeImported("old-b", "")
		time.Sleep(2 * time.Second)
		if left, _ := store.As("import").ListAddresses(context.Background(), ipam.Scope{}); len(left) != 0 {
			t.Errorf("left %v", left)
		}
	})
}
