package attach

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/tsunagu-net/tsunagu/ipam"
)

// takeAll takes the addresses of all interfaces: one after the other where they draw on the same addresses, so that the same Pod gets them in
// the same order, and else at the same time, because an API server may have to be asked.
func (s *Server) takeAll(ctx context.Context, record Record, plan []planned) error {
	groups := drawing(plan)
	if len(groups) == 1 {
		return s.takeGroup(ctx, record, plan, groups[0])
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	errs := make([]error, len(groups))
	var all sync.WaitGroup
	for g, group := range groups {
		all.Go(func() {
			errs[g] = s.takeGroup(ctx, record, plan, group)
			switch {
			case errs[g] == nil:
			case errors.Is(context.Cause(ctx), errOther):
				errs[g] = errOther
			default:
				cancel(errOther)
			}
		})
	}
	all.Wait()
	return foremost(errs)
}

func (s *Server) takeGroup(ctx context.Context, record Record, plan []planned, group []int) error {
	for _, i := range group {
		if err := s.takeAddresses(ctx, record, &plan[i]); err != nil {
			return fmt.Errorf("%s: %w", plan[i].where(), err)
		}
	}
	return nil
}

// drawing are the interfaces of a plan, those together that draw on the same addresses or on those of the same claim.
func drawing(plan []planned) (groups [][]int) {
	for i := range plan {
		mine := []int{i}
		groups = slices.DeleteFunc(groups, func(group []int) bool {
			shares := slices.ContainsFunc(group, func(j int) bool { return plan[i].shares(&plan[j]) })
			if shares {
				mine = append(mine, group...)
			}
			return shares
		})
		slices.Sort(mine)
		groups = append(groups, mine)
	}
	return groups
}

// shares tells whether two interfaces draw on the same addresses.
func (p *planned) shares(other *planned) bool {
	for _, a := range p.wants {
		for _, b := range other.wants {
			if a.Claim != nil && b.Claim != nil && a.Claim.Name == b.Claim.Name {
				return true
			}
			for _, x := range append([]ipam.Pool{a.Pool}, a.Alternatives...) {
				for _, y := range append([]ipam.Pool{b.Pool}, b.Alternatives...) {
					if x.Domain == y.Domain && x.Prefix.Overlaps(y.Prefix) {
						return true
					}
				}
			}
		}
	}
	return false
}

// foremost is the first error that is no consequence of another.
func foremost(errs []error) (first error) {
	for _, err := range errs {
		if err != nil && (first == nil || errors.Is(first, errOther)) {
			first = err
		}
	}
	return first
}
