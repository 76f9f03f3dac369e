package sim

import (
	"context"
	"time"

	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/ipam/iptest/oracle"
)

// settle gives everybody time, looks whether everything works again, and what
// is left when nothing should be.
func (w *World) settle() {
	time.Sleep(3 * time.Minute)
	for _, s := range w.slots {
		m := s.now()
		a, _ := m.agent()
		for i, p := range pools() {
			o := ipam.Owner{Key: ipam.Key{ContainerID: m.id + "-last", IfName: string(rune('a' + i))}}
			_, err := a.Take(context.Background(), o, []ipam.Want{{Pool: p}})
			if err != nil {
				w.complain("%s gets no address of %s although all is well: %v", m.id, p.Name, err)
			}
			_ = a.Free(context.Background(), o.Key)
		}
	}
	time.Sleep(11 * time.Minute)
	_, blocks, addresses := w.Store.Objects()
	all := oracle.Allocated(blocks, addresses)
	for _, m := range w.machines {
		if m.isGone() {
			continue
		}
		a, _ := m.agent()
		all = append(all, oracle.Held(m.name, "held", a.Held())...)
	}
	for _, l := range oracle.Settled(all, w.history.Live()) {
		w.complain("%v", l)
	}
	for _, b := range blocks {
		w.complain("block %s of %s is left", b.Name, b.NodeUID)
	}
}
