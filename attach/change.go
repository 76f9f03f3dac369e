package attach

import (
	"context"
	"maps"
	"net/netip"
	"slices"

	"github.com/tsunagu-net/tsunagu/attach/kind"
	"github.com/tsunagu-net/tsunagu/ipam"
)

// change is what is kept of an exchange of interfaces from before anything of it is done until all is.
type change struct {
	// Making are interfaces that may have been made or have addresses. One that is not there otherwise is taken away again when the exchange
	// is cut short.
	Making []string `json:"making,omitempty"`
	// Leaving are interfaces whose taking away has begun: it goes on.
	Leaving []string `json:"leaving,omitempty"`
}

// settleChange brings a sandbox to rest whose exchange was cut short, by a crash or an error: what was going goes, what was coming goes too,
// and the rest is as it was. What its annotation says is then done anew.
func (s *Server) settleChange(ctx context.Context, record Record) (Record, error) {
	lost := slices.Clone(record.Change.Leaving)
	for _, name := range record.Change.Making {
		_, asked := record.Asked[name] // else it is one that was to be added
		there := asked && slices.ContainsFunc(record.Interfaces, func(w kind.Wired) bool { return w.IfName == name })
		if !there && !slices.Contains(lost, name) {
			lost = append(lost, name)
		}
		if h := s.holds(ipam.Key{ContainerID: record.ContainerID, IfName: name}); there && !slices.Contains(lost, name) {
			i := slices.IndexFunc(record.Interfaces, func(w kind.Wired) bool { return w.IfName == name })
			var stay []netip.Addr
			for _, a := range record.Interfaces[i].Addresses {
				stay = append(stay, a.Prefix.Addr())
			}
			if h.owner.Network = record.Interfaces[i].Network; len(h.grants) > 0 {
				if err := s.Addresses.Keep(ctx, h.owner, stay); err != nil {
					return record, err
				}
			}
		}
	}
	record, err := s.clear(ctx, record, lost)
	if err != nil {
		return record, err
	}
	record.Asked = maps.Clone(record.Asked)
	for _, name := range lost {
		if _, asked := record.Asked[name]; asked {
			record.Amiss = true
			delete(record.Asked, name)
		}
	}
	if record.Amiss {
		nothing := ""
		record.Annotation = &nothing
	}
	record.Reported = false
	return s.keepOn(ctx, record)
}
