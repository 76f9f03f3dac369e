package sim

import (
	"context"
	"time"

	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/ipam/iptest"
)

// take waits for a sandbox's turn, as attach does.
func (m *machine) take(id string) (release func()) {
	for {
		m.mu.Lock()
		busy := m.queue[id]
		if busy == nil {
			mine := make(chan struct{})
			m.queue[id] = mine
			m.mu.Unlock()
			return func() {
				m.mu.Lock()
				delete(m.queue, id)
				m.mu.Unlock()
				close(mine)
			}
		}
		m.mu.Unlock()
		<-busy
	}
}

// add is a model of attach's ADD: the record comes first, the addresses then,
// the reply last. An error means that all was undone, or is left to the sweep.
func (m *machine) add(ctx context.Context, o ipam.Owner, wants []ipam.Want) ([]ipam.Grant, error) {
	defer m.take(o.ContainerID)()
	m.mu.Lock()
	alive, known := m.records[o.ContainerID]
	a, life := m.a, m.life
	if known && !alive && !m.w.NoTombstone {
		m.mu.Unlock()
		return nil, &ipam.Refusal{Reason: ipam.Deleted}
	}
	m.records[o.ContainerID] = true
	m.mu.Unlock()
	var grants []ipam.Grant
	var err error
	if m.w.OneByOne {
		for i := range wants {
			one := o
			one.IfName += string(rune('a' + i))
			var got []ipam.Grant
			if got, err = a.Take(ctx, one, wants[i:i+1]); err != nil {
				break
			}
			grants = append(grants, got...)
		}
	} else {
		grants, err = a.Take(ctx, o, wants)
	}
	if m.w.isDead(life) {
		return nil, iptest.ErrDead // nobody is left to reply
	}
	if err == nil {
		if m.was(o.ContainerID) {
			m.w.complain("an ADD of %s was answered after its DEL", o.Key)
		}
		return grants, nil
	}
	if a.Free(ctx, o.Key) == nil {
		for _, h := range a.Held() {
			if h.Owner.ContainerID == o.ContainerID {
				m.w.complain("%s keeps %v after it was refused: %v", h.Owner.Key, h.Grants, err)
			}
		}
	}
	return nil, err
}

// was tells whether a sandbox was deleted.
func (m *machine) was(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.deleted[id]
}

// del is a model of attach's DEL: it works from the key alone.
func (m *machine) del(o ipam.Owner) error {
	a, life := m.agent()
	_ = a.Free(context.Background(), o.Key) // calls off an ADD under way
	defer m.take(o.ContainerID)()
	if m.w.isDead(life) {
		return iptest.ErrDead
	}
	m.mu.Lock()
	m.records[o.ContainerID], m.deleted[o.ContainerID] = false, true
	m.mu.Unlock()
	err := a.Free(context.Background(), o.Key)
	for _, h := range a.Held() {
		if m.w.DeleteByName && h.Owner.Pod == o.Pod || m.w.OneByOne && h.Owner.ContainerID == o.ContainerID {
			_ = a.Free(context.Background(), h.Owner.Key)
		}
	}
	if m.w.isDead(life) {
		return iptest.ErrDead
	}
	return err
}

// sweep is a model of attach's: holdings and address objects whose sandbox is
// gone, by what this machine sees, twice in a row.
func (m *machine) sweep(ctx context.Context, a *ipam.Allocator) {
	for wait(ctx, 10*time.Second+m.w.pause(time.Second, "sweep", m.id)) {
		seen := map[string]bool{}
		for _, h := range a.Held() {
			key := h.Owner.Key.String()
			if m.w.has(h.Owner.ContainerID) {
				continue
			}
			if seen[key] = true; m.suspect[key] {
				m.w.count("swept a holding")
				_ = a.Free(ctx, h.Owner.Key)
			}
		}
		orphans, err := a.Orphans(ctx)
		if err != nil {
			continue
		}
		for _, x := range orphans {
			if seen[x.UID] = true; m.suspect[x.UID] && !m.w.has(x.Owner.ContainerID) {
				m.w.count("swept an object")
				_ = a.DeleteOrphan(ctx, x)
			}
		}
		m.mu.Lock()
		m.suspect = seen
		m.mu.Unlock()
	}
}

// has tells whether a sandbox is there.
func (w *World) has(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sandboxes[id] != nil
}
