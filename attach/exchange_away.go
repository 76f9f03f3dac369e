package attach

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/tsunagu-net/tsunagu/attach/kind"
	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// takeAway takes interfaces away, with what plugins did to them, and leaves their addresses.
func (x *exchange) takeAway(ctx context.Context, names []string) (err error) {
	x.record, err = x.Server.takeAway(ctx, x.record, names)
	return err
}

// takeAway takes some interfaces of a record away. They leave the record when they are gone, but for their names among the intended ones,
// because their addresses are not free yet.
func (s *Server) takeAway(ctx context.Context, record Record, names []string) (Record, error) {
	path := record.NetNS
	if gone, err := netns.Gone(path, record.NetNSID); err == nil && gone {
		path = ""
	}
	c := *record.Change
	for _, name := range names {
		if !slices.Contains(c.Leaving, name) {
			c.Leaving = append(slices.Clone(c.Leaving), name)
		}
	}
	record.Change = &c
	if err := s.records.put(record); err != nil {
		return record, err
	}
	is := func(name string) bool { return slices.Contains(names, name) }
	part := record
	part.Intended = names
	part.Interfaces = slices.DeleteFunc(slices.Clone(record.Interfaces), func(w kind.Wired) bool { return !is(w.IfName) })
	part.Left = time.Now() // a plugin that refuses is asked again later: the Pod does not wait for it
	if err := errors.Join(s.releaseLeases(ctx, part), s.unchain(ctx, part, path)); err != nil {
		return record, err
	}
	release, err := s.wiring(ctx, s.unwirings)
	if err != nil {
		return record, err
	}
	err = s.Wirer.Detach(ctx, path, part.links())
	release()
	if err != nil {
		return record, err
	}
	for _, w := range part.Interfaces {
		s.verdicts.freed(w)
	}
	if err := s.giveBack(ctx, part, path); err != nil {
		return record, err
	}
	c.Leaving = slices.DeleteFunc(slices.Clone(c.Leaving), is)
	record.Interfaces = slices.DeleteFunc(slices.Clone(record.Interfaces), func(w kind.Wired) bool { return is(w.IfName) })
	record.Chains, record.DNS, record.DeviceInfo = maps.Clone(record.Chains), maps.Clone(record.DNS), maps.Clone(record.DeviceInfo)
	for _, name := range names {
		delete(record.Chains, name)
		delete(record.DNS, name)
		delete(record.DeviceInfo, name)
	}
	return record, nil
}

// clear takes interfaces away and frees their addresses.
func (s *Server) clear(ctx context.Context, record Record, names []string) (Record, error) {
	var err error
	if len(names) > 0 {
		if record, err = s.takeAway(ctx, record, names); err != nil {
			return record, err
		}
		for _, name := range names {
			if err := s.Addresses.Free(ctx, ipam.Key{ContainerID: record.ContainerID, IfName: name}); err != nil {
				return record, err
			}
		}
	}
	record.Intended = slices.DeleteFunc(slices.Clone(record.Intended), func(name string) bool { return slices.Contains(names, name) })
	return record, nil
}
