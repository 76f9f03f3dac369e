package attach

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tsunagu-net/tsunagu/attach/kind"
	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// foundMark begins the container ID of a sandbox that was found without a record: which one it is, the runtime does not say.
const foundMark = "found-"

// Recover gives ipam back what a lost log held, so that no address of a sandbox that lives is given out again: from the records of
// sandboxes, and where those are lost too, from the interfaces that exist. Call it before the Addresses begin to run. AddressesLost tells
// that their log is new or damaged.
func (s *Server) Recover(ctx context.Context, addressesLost bool) error {
	var errs []error
	for _, sure := range []bool{true, false} {
		for _, record := range s.records.list() {
			// A sandbox on its way in or out may have no address any more, and another may have it.
			if (record.State == Wired) != sure || record.State == Gone || !sure && !addressesLost {
				continue
			}
			for _, rights := range record.Held {
				if err := s.Addresses.Restore(rights, sure); err != nil {
					errs = append(errs, fmt.Errorf("restore the addresses of sandbox %.13s: %w", record.ContainerID, err))
				}
			}
		}
	}
	if s.damaged {
		errs = append(errs, s.recoverFound(ctx))
	}
	return errors.Join(errs...)
}

// recoverFound makes records for sandboxes that have none, and addresses that nobody holds.
func (s *Server) recoverFound(ctx context.Context) error {
	found, err := s.Wirer.Inventory(ctx)
	if err != nil {
		return fmt.Errorf("look for the Pods' interfaces: %w", err)
	}
	known := map[netns.ID]bool{}
	for _, record := range s.records.list() {
		known[record.NetNSID] = known[record.NetNSID] || record.State != Gone
	}
	held := map[netip.Addr]bool{}
	for _, h := range s.Addresses.Held() {
		for _, g := range h.Grants {
			held[g.Address.Addr()] = true
		}
	}
	var errs []error
	for _, f := range found {
		if !known[f.ID] {
			errs = append(errs, s.adopt(f, held))
		}
	}
	return errors.Join(errs...)
}

func (s *Server) adopt(f kind.Found, held map[netip.Addr]bool) error {
	record := Record{ContainerID: fmt.Sprintf("%s%d-%d", foundMark, f.ID.Dev, f.ID.Ino), State: Wired, Since: time.Now(),
		NetNS: f.Path, NetNSID: f.ID, Reported: true}
	lost := map[string][]netip.Prefix{}
	for _, w := range f.Interfaces {
		for _, a := range w.Addresses {
			if !held[a.Prefix.Addr()] {
				lost[w.IfName] = append(lost[w.IfName], a.Prefix)
			}
		}
		if len(lost[w.IfName]) > 0 {
			record.Intended = append(record.Intended, w.IfName)
		}
	}
	if len(record.Intended) == 0 {
		return nil // its addresses are known, and are freed when its Pod is gone
	}
	if err := s.records.put(record); err != nil {
		return err
	}
	s.Log.Warn("a sandbox was found that no record speaks of: its addresses are given to nobody until it goes", "namespace", f.Path, "interfaces", record.Intended)
	for name, addresses := range lost {
		owner := ipam.Owner{Key: ipam.Key{ContainerID: record.ContainerID, IfName: name}}
		if err := s.Addresses.HoldUnknown(owner, addresses); err != nil {
			return fmt.Errorf("hold the addresses of %s: %w", f.Path, err)
		}
	}
	return nil
}

// delFound takes away what was found in a namespace whose sandbox the runtime deletes under its right name.
func (s *Server) delFound(ctx context.Context, path string) error {
	if path == "" {
		return nil
	}
	all := s.records.list()
	i := slices.IndexFunc(all, func(r Record) bool {
		return strings.HasPrefix(r.ContainerID, foundMark) && r.NetNS == path && r.State != Gone
	})
	if i < 0 {
		return nil
	}
	release, err := s.sandboxes.take(ctx, all[i].ContainerID)
	if err != nil {
		return err
	}
	defer release()
	return s.remove(ctx, all[i], path)
}
