package trunk_test

import (
	"errors"
	"testing"

	"github.com/tsunagu-net/tsunagu/kernel/trunk"
)

func TestPodsOfOneVLANReachEachOther(t *testing.T) {
	w := newWorld(t)
	n1, n2 := w.node(), w.node()
	a, b, c := n1.pod(120), n1.pod(120), n2.pod(120)
	x, y := n1.pod(121), n2.pod(121)
	a.reaches(b)
	a.reaches(c)
	c.reaches(b)
	x.reaches(y)
	for _, p := range []*pod{x, y} {
		a.cannotReach(p)
		c.cannotReach(p)
	}
	// A jumbo frame goes everywhere, also over the wire with its tag.
	for _, to := range []*pod{b, c} {
		if err := exchange(a.ns, to.ns, to.ip, 8900, 3); err != nil {
			t.Errorf("8900 bytes to %s: %v", to.ip, err)
		}
	}
}

func TestTakenMAC(t *testing.T) {
	n := newWorld(t).node()
	a, b := n.pod(120), n.plug(120)
	b.port.MAC = a.port.MAC
	var taken trunk.Taken
	if err := n.sw.Put(b.port); !errors.As(err, &taken) || taken.Index != a.port.Index {
		t.Fatalf("put gives %v", err)
	}
	b.port.VLAN = 121
	w := n.sw.Put(b.port)
	n.must(w)
}
