package kind

import (
	"context"
	"testing"

	"github.com/tsunagu-net/tsunagu/kernel/link"
)

// What somebody flushes on the node comes back; what is there is left alone, and what has no link any more is passed over.
func TestMend(t *testing.T) {
	w := newWorld(t)
	a, b := w.pod(), w.pod()
	wa, wb := w.wire(a, everyKind(w, a, 0)...), w.wire(b, everyKind(w, b, 1)...)
	all := append(append([]Record(nil), wa...), wb...)
	if lost, err := w.wirer.Mend(context.Background(), all); err != nil || len(lost) != 0 {
		t.Fatalf("nothing is missing, and yet %v, %v", lost, err)
	}
	routes := 0
	all = append(all, Record{ContainerID: "gone", IfName: "eth0", MAC: wa[0].MAC, HostIf: "tsunothere", HostRoutes: wa[0].HostRoutes})
	for _, r := range wa {
		for _, dst := range r.HostRoutes {
			l, err := w.conn.ByName(r.HostIf)
			w.must(err)
			w.must(w.conn.Apply(link.DeleteRoute(r.HostIf, link.Route{Index: l.Index, Dst: dst})))
			routes++
		}
	}
	lost, err := w.wirer.Mend(context.Background(), all)
	w.must(err)
	if routes == 0 || len(lost) != routes {
		t.Errorf("%d routes were removed, %v were missed", routes, lost)
	}
	for _, r := range wa {
		if r.HostIf == "" || len(r.HostRoutes) == 0 {
			continue
		}
		l, err := w.conn.ByName(r.HostIf)
		w.must(err)
		// Down and up again takes routes and neighbours away.
		down := false
		w.must(w.conn.Apply(link.Set(link.Change{Index: l.Index, Up: &down})))
	}
	_, err = w.wirer.Mend(context.Background(), all)
	w.must(err)
	w.must(w.wirer.Check(context.Background(), a.Path(), wa))
	w.must(w.wirer.Check(context.Background(), b.Path(), wb))
}
