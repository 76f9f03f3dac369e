package attach

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tsunagu-net/tsunagu/attach/hostport"
	"github.com/tsunagu-net/tsunagu/attach/kind"
	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

const (
	// sweepEvery is how often the records are compared with what is there.
	sweepEvery = 10 * time.Second
	// sure is how long something must look abandoned before it is taken away. A namespace that a runtime is just putting into its place
	// looks like one that is gone.
	sure = 5 * time.Second
	// lookEvery is how often the API server is asked for address objects that no interface has.
	lookEvery = time.Minute
	// mostBusySweeps is how many sweeps in a row leave links alone because Pods are being wired.
	mostBusySweeps = 30
	// memory is how long a deleted sandbox refuses an ADD that was started before its DEL.
	memory = 10 * time.Minute
)

// Start makes the node's ports and unfinished business follow the records; call it once, before the first Call.
func (s *Server) Start(ctx context.Context) error {
	var ports []hostport.Sandbox
	for _, record := range s.records.list() {
		if record.State != Wired {
			continue
		}
		if p := record.ports(); len(p.Mappings)+len(p.Masquerade) > 0 {
			ports = append(ports, p)
		}
		if !record.Reported {
			s.reports.add(record)
		}
	}
	err := s.Ports.Sync(ctx, ports)
	if s.damaged {
		orphans, lookErr := s.Wirer.Orphans(ctx, s.owned())
		err = errors.Join(err, lookErr)
		for _, o := range orphans {
			s.spared[o.Device] = true
		}
		if len(orphans) > 0 {
			s.Log.Warn("there are links of Pods without a record, because the log of sandboxes was lost; they stay until their Pods go", "links", len(orphans))
		}
		err = errors.Join(err, s.keepGap())
	}
	return err
}

// Run sweeps until the context ends, which is not an error.
func (s *Server) Run(ctx context.Context) error {
	defer s.ahead.tasks.Wait()
	defer s.reports.stop()
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		if err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.Log.Warn("sweep: some of it is tried again", "err", err)
		}
		if !s.waitForTick(ctx, tick.C) {
			return nil
		}
	}
}

// waitForTick mends routes while nothing is to be swept.
func (s *Server) waitForTick(ctx context.Context, tick <-chan time.Time) bool {
	for {
		select {
		case <-s.disturbed:
			if err := s.mend(ctx); err != nil && ctx.Err() == nil {
				s.Log.Warn("put back routes to Pods", "err", err)
			}
			select {
			case <-time.After(mendPause):
			case <-ctx.Done():
				return false
			}
		case <-tick:
			return true
		case <-ctx.Done():
			return false
		}
	}
}

// Sweep takes away what no sandbox needs any more: sandboxes whose namespace is gone, attempts that were cut short, addresses and links
// without a record. That a Pod is gone from the API alone frees nothing: its processes may still run.
func (s *Server) Sweep(ctx context.Context) error {
	var errs []error
	seen := map[string]bool{}
	for _, record := range s.records.list() {
		errs = append(errs, s.sweepRecord(ctx, record, seen))
	}
	errs = append(errs, s.sweepLoans(ctx, seen), s.sweepAddresses(ctx, seen), s.sweepLeases(ctx, seen), s.sweepLinks(ctx, seen), s.sweepObjects(ctx), s.recounter.sweep(ctx), s.mend(ctx))
	for what := range s.suspects {
		if !seen[what] {
			delete(s.suspects, what)
		}
	}
	return errors.Join(errs...)
}

// abandoned tells whether something has looked abandoned for long enough; it is asked at every sweep that finds it so.
func (s *Server) abandoned(what string, seen map[string]bool) bool {
	seen[what] = true
	since, ok := s.suspects[what]
	if !ok {
		s.suspects[what] = time.Now()
		return false
	}
	return time.Since(since) >= sure
}

func (s *Server) sweepRecord(ctx context.Context, record Record, seen map[string]bool) error {
	id := record.ContainerID
	switch record.State {
	case Gone:
		if time.Since(record.Since) < memory {
			return nil
		}
		release, ok := s.sandboxes.try(id)
		if !ok {
			return nil
		}
		defer release()
		return s.records.drop(id)
	case Wiring, Leaving:
		return s.tidy(ctx, id, func(now Record) bool { return now.State == Wiring || now.State == Leaving })
	}
	gone, err := netns.Gone(record.NetNS, record.NetNSID)
	if err != nil {
		return fmt.Errorf("look for the namespace of sandbox %.13s: %w", id, err)
	}
	if !gone || !s.abandoned("sandbox "+id, seen) {
		return nil
	}
	return s.tidy(ctx, id, func(now Record) bool { return now.State == Wired && now.NetNSID == record.NetNSID })
}

// sweepAddresses frees addresses of interfaces that no record intends. Every Take comes after its record, so there are some only when
// the log of sandboxes was lost; then the Pod must be gone as well.
func (s *Server) sweepAddresses(ctx context.Context, seen map[string]bool) error {
	known, complete := s.Pods.Known()
	var errs []error
	for _, h := range s.Addresses.Held() {
		id := h.Owner.ContainerID
		if s.intends(h.Owner.Key) || !complete || known[h.Owner.UID] || !s.abandoned("address "+h.Owner.Key.String(), seen) {
			continue
		}
		release, ok := s.sandboxes.try(id)
		if !ok {
			continue
		}
		if !s.intends(h.Owner.Key) {
			s.Log.Info("swept addresses that no sandbox has", "container", id, "interface", h.Owner.IfName, "pod", h.Owner.Namespace+"/"+h.Owner.Pod)
			errs = append(errs, s.Addresses.Free(ctx, h.Owner.Key))
		}
		release()
	}
	return errors.Join(errs...)
}

// sweepObjects deletes address objects that were created for an interface of this node and that none has: their sandbox is gone, and
// nobody was left to delete them.
func (s *Server) sweepObjects(ctx context.Context) error {
	if time.Since(s.looked) < lookEvery {
		return nil
	}
	s.looked = time.Now()
	ctx, cancel := context.WithTimeout(ctx, sweepEvery)
	defer cancel()
	orphans, err := s.Addresses.Orphans(ctx)
	if err != nil {
		return err
	}
	known, complete := s.Pods.Known()
	var errs []error
	gone := map[string]bool{}
	for _, o := range orphans {
		if o.Origin != "" {
			// Its sandbox was made by others and has no record here: it goes when its Pod was found gone at two looks.
			if id := o.Name + " " + o.UID; complete && !known[o.Owner.UID] {
				if gone[id] = true; s.strays[id] {
					s.Log.Info("swept an imported address whose Pod is gone", "object", o.Name, "pod", o.Owner.Namespace+"/"+o.Owner.Pod, "origin", o.Origin)
					errs = append(errs, s.Addresses.DeleteOrphan(ctx, o))
				}
			}
			continue
		}
		release, ok := s.sandboxes.try(o.Owner.ContainerID)
		if !ok {
			continue
		}
		if s.loans.has(o.Owner.Key) {
			release()
			continue
		}
		if record, held := s.records.get(o.Owner.ContainerID); (!held || record.State == Gone) && (!s.damaged || complete && !known[o.Owner.UID]) {
			s.Log.Info("swept an address object that no sandbox has", "object", o.Name, "pod", o.Owner.Namespace+"/"+o.Owner.Pod)
			errs = append(errs, s.Addresses.DeleteOrphan(ctx, o))
		}
		release()
	}
	s.strays = gone
	return errors.Join(errs...)
}

func (s *Server) intends(key ipam.Key) bool {
	if s.loans.has(key) {
		return true
	}
	record, ok := s.records.get(key.ContainerID)
	return ok && record.State != Gone && slices.Contains(record.Intended, key.IfName)
}

// sweepLinks removes links that no record owns.
func (s *Server) sweepLinks(ctx context.Context, seen map[string]bool) error {
	// While nobody wires every link of ours has its record. Pods do not wait for this, unless it never finds a quiet moment.
	if !s.making.TryLock() {
		if s.busySweeps++; s.busySweeps < mostBusySweeps {
			return nil
		}
		s.making.Lock()
	}
	defer s.making.Unlock()
	s.busySweeps = 0
	orphans, err := s.Wirer.Orphans(ctx, s.owned())
	if err != nil {
		return err
	}
	orphans = slices.DeleteFunc(orphans, func(o kind.Orphan) bool {
		return s.spared[o.Device] || !s.abandoned("link "+o.Device, seen)
	})
	if len(orphans) == 0 {
		return nil
	}
	for _, o := range orphans {
		s.Log.Info("swept a link that no sandbox has", "link", o.Device, "kind", o.Kind)
	}
	return s.Wirer.Remove(ctx, orphans)
}

// owned are the links of all records.
func (s *Server) owned() []kind.Record {
	var owned []kind.Record
	for _, record := range s.records.list() {
		if record.State != Gone {
			owned = append(owned, record.links()...)
		}
	}
	return owned
}
