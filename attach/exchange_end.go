package attach

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/tsunagu-net/tsunagu/attach/kind"
)

// finish makes the record say what there is, takes away what nobody asks for, and tells of all of it. From here on there is no way back.
func (x *exchange) finish(ctx context.Context) (Record, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	var gone []string
	for _, name := range x.d.Gone {
		if !x.d.exchanged(name) {
			gone = append(gone, name)
		}
	}
	x.record.Asked = map[string]string{}
	for _, s := range x.d.All {
		x.record.Asked[s.IfName] = s.element()
	}
	x.record.Change, x.record.Annotation, x.record.Told = &change{Leaving: gone}, &x.pod.Networks, ""
	x.record.Reported, x.record.Amiss = false, false
	for i := range x.swaps {
		if err := x.keepAddresses(ctx, x.record, &x.swaps[i]); err != nil {
			return x.record, err
		}
	}
	if err := x.records.put(x.record); err != nil {
		return x.record, err
	}
	record, err := x.clear(ctx, x.record, gone)
	if err != nil {
		return record, err
	}
	var order []kind.Wired
	for _, s := range x.d.All {
		order = append(order, kind.Wired{IfName: s.IfName})
	}
	record.sort(order)
	x.announce(record)
	return x.keepOn(ctx, record)
}

// keepOn keeps the record of a sandbox whose exchange is over, and has what hangs on it follow.
func (s *Server) keepOn(ctx context.Context, record Record) (Record, error) {
	record.Change = nil
	record.Held = s.rights(record)
	before, _ := s.records.get(record.ContainerID)
	if now, old := record.ports(), before.ports(); len(now.Mappings)+len(now.Masquerade)+len(old.Masquerade) > 0 || len(record.Ports) > 0 {
		if err := s.Ports.Set(ctx, now); err != nil {
			return record, err
		}
	}
	if err := s.records.put(record); err != nil {
		return record, err
	}
	s.reports.add(record)
	return record, nil
}

// sort puts the interfaces behind the first into an order.
func (r *Record) sort(order []kind.Wired) {
	place := func(name string) int {
		return slices.IndexFunc(order, func(w kind.Wired) bool { return w.IfName == name })
	}
	r.Interfaces = slices.Clone(r.Interfaces)
	slices.SortStableFunc(r.Interfaces[1:], func(a, b kind.Wired) int { return place(a.IfName) - place(b.IfName) })
}

// announce tells the Pod's people what has come and gone.
func (x *exchange) announce(record Record) {
	for _, name := range x.d.Gone {
		if i := slices.IndexFunc(x.before.Interfaces, func(w kind.Wired) bool { return w.IfName == name }); i >= 0 {
			w := x.before.Interfaces[i]
			x.Events.Note(x.pod, ReasonRemoved, fmt.Sprintf("Remove %s [%s] from %s", w.IfName, strings.Join(addressesOf(w), " "), w.Network))
		}
	}
	var made []kind.Wired
	plan := slices.Concat(x.adds, x.swaps)
	for _, one := range plan {
		i := slices.IndexFunc(record.Interfaces, func(w kind.Wired) bool { return w.IfName == one.sel.IfName })
		made = append(made, record.Interfaces[i])
		if record.Announced {
			x.Events.Note(x.pod, ReasonAdded, addedNote(record.Interfaces[i]))
		}
	}
	part := record
	part.Interfaces, part.others = made, record.Interfaces
	x.nodeOnly.wired(part, plan)
	x.ahead.wired(part, plan)
}
