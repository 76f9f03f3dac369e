package sim

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/ipam/iptest/oracle"
)

func pool(domain, cidr string) ipam.Pool {
	return ipam.Pool{Name: domain + " " + cidr, Domain: domain, Prefix: netip.MustParsePrefix(cidr)}
}

// pools are small, so that they fill; two overlap, and two domains have one
// subnet.
func pools() []ipam.Pool {
	return []ipam.Pool{
		pool("blue", "10.1.2.0/28"), pool("blue", "10.1.2.0/26"), pool("blue", "10.1.4.0/24"), pool("blue", "fd00::/120"),
		pool("red", "10.1.2.0/28"),
	}
}

// wants draws what a Pod asks for: one address, one of each family, two of one
// pool, or a static one.
func (w *World) wants(name string) []ipam.Want {
	all := pools()
	p := all[w.under(len(all), name)]
	wants := []ipam.Want{{Pool: p}}
	switch w.under(8, name, "kind") {
	case 0:
		wants = append(wants, ipam.Want{Pool: all[w.under(len(all), name, "second")]})
	case 1:
		wants = []ipam.Want{{Pool: all[2]}, {Pool: all[3]}}
	case 2, 3:
		x := p.Prefix.Addr()
		for range 1 + w.under(min(int(p.Size()), 40), name, "static") {
			x = x.Next()
		}
		wants[0].Static = x
	}
	return wants
}

// work is one Pod after the other under one name, as of a StatefulSet.
func (w *World) work(s *slot, worker int) {
	name := fmt.Sprintf("%s-web-%d", s.name, worker)
	for i := range w.Config.Pods {
		rest := 500 * time.Millisecond
		if w.Unsettled {
			rest = 20 * time.Second // so that regions are empty at times
		}
		time.Sleep(w.pause(rest, name))
		m := s.now()
		for ; !w.registered(m); m = s.now() {
			time.Sleep(w.pause(time.Second, name)) // no kubelet is given a Pod without its Node
		}
		w.live(m, name, i)
	}
}

// registered tells whether a machine's Node object is there.
func (w *World) registered(m *machine) bool {
	uid := m.nodeUID()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.nodes[m.name] == uid
}

// live is the life of one Pod: its runtime asks again until it has addresses,
// perhaps for another sandbox, it runs, and it goes.
func (w *World) live(m *machine, name string, i int) {
	wants := w.wants(name)
	o := ipam.Owner{Key: ipam.Key{IfName: "net1"}, Namespace: "sim", Pod: name, UID: fmt.Sprintf("%s-%d", name, i)}
	var grants []ipam.Grant
	for try := range 8 {
		if m.isGone() {
			break
		}
		if o.ContainerID == "" {
			o.ContainerID = fmt.Sprintf("%s-%d-%d", name, i, try)
			w.create(o.ContainerID, m)
		}
		if !w.has(o.ContainerID) {
			break // the machine was rebooted
		}
		got, err := w.ask(m, o, wants)
		if err == nil {
			grants = got
			break
		}
		w.count("ADD " + ipam.ReasonOf(err))
		time.Sleep(w.pause(time.Second, name, "retry"))
		if w.under(3, name, "anew") == 0 {
			w.end(m, o, wants, nil)
			o.ContainerID = ""
		}
	}
	if o.ContainerID == "" {
		return
	}
	if grants != nil {
		w.count("ADD done")
		most := 3 * time.Second
		if w.Lossy {
			most = time.Minute // so that it outlives its Node object
		}
		time.Sleep(w.pause(most, name, "runs"))
	}
	w.end(m, o, wants, grants)
}

// create makes a sandbox for a Pod object.
func (w *World) create(id string, m *machine) {
	uid := m.nodeUID()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sandboxes[id] = &sandbox{on: m}
	w.pods[id] = uid
}

// ask is one ADD of the runtime. From the answer on the sandbox uses what it
// was given.
func (w *World) ask(m *machine, o ipam.Owner, wants []ipam.Want) ([]ipam.Grant, error) {
	if !w.isOver() && w.under(50, o.ContainerID, "stray") == 0 {
		w.count("ADD strays")
		late := w.pause(3*time.Second, o.ContainerID, "stray")
		go func() {
			time.Sleep(late)
			_, _ = m.add(context.Background(), o, wants)
		}()
		return nil, context.DeadlineExceeded
	}
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond+w.pause(5*time.Second, o.ContainerID, "patience"))
	defer cancel()
	grants, err := m.add(ctx, o, wants)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	alive := w.sandboxes[o.ContainerID] != nil
	w.mu.Unlock()
	for i, g := range grants {
		if alive {
			w.history.Begin(wants[i].Pool.Domain, g.Address.Addr(), holder(m, o))
		}
	}
	return grants, nil
}

func holder(m *machine, o ipam.Owner) oracle.Holder { return oracle.HolderOf(m.id, o) }

// end takes a sandbox away, and says so to the agent: at once, late, twice or
// never.
func (w *World) end(m *machine, o ipam.Owner, wants []ipam.Want, grants []ipam.Grant) {
	if w.under(4, o.ContainerID, "force") == 0 { // the Pod object goes first
		w.mu.Lock()
		delete(w.pods, o.ContainerID)
		w.mu.Unlock()
		if a, _ := m.agent(); w.FreeWithPod {
			_ = a.Free(context.Background(), o.Key)
		}
		time.Sleep(w.pause(3*time.Second, o.ContainerID, "forced"))
	}
	for i, g := range grants {
		w.history.End(wants[i].Pool.Domain, g.Address.Addr(), holder(m, o))
	}
	w.mu.Lock()
	delete(w.sandboxes, o.ContainerID)
	delete(w.pods, o.ContainerID)
	w.mu.Unlock()
	tell := func(times int) {
		for range times {
			for try := 0; m.del(o) != nil && try < 20 && !m.isGone(); try++ {
				time.Sleep(w.pause(time.Second, o.ContainerID, "DEL"))
			}
		}
	}
	switch n := w.under(20, o.ContainerID, "how"); {
	case n == 0 && !w.isOver():
		w.count("DEL never")
	case n < 4:
		w.count("DEL late")
		late := w.pause(4*time.Second, o.ContainerID, "late")
		go func() { time.Sleep(late); tell(1) }()
	case n < 7:
		tell(2)
	default:
		tell(1)
	}
}
