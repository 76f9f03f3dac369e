package oracle

import (
	"fmt"
	"slices"
	"time"
)

// Duplicate is one address used by two at once.
type Duplicate struct {
	One, Other Use
	// From is since when, To until when; zero if neither has ended.
	From, To time.Time
}

func (d Duplicate) String() string {
	how := "to the end"
	if !d.To.IsZero() {
		how = "for " + d.To.Sub(d.From).String()
	}
	return fmt.Sprintf("%s is used by %v and %v at once, from %s %s", d.One.where(), d.One.Holder, d.Other.Holder, d.From.Format("15:04:05.000000"), how)
}

// Duplicates are all pairs of uses of one address, by different holders, that
// overlap in time. The order of the uses does not matter. It takes n log n time
// if there are few duplicates.
func Duplicates(uses []Use) (out []Duplicate) {
	uses = slices.Clone(uses)
	slices.SortStableFunc(uses, func(x, y Use) int {
		if c := x.where().compare(y.where()); c != 0 {
			return c
		}
		return x.Begin.Compare(y.Begin)
	})
	var now []Use // those that use the address at the moment
	for i, u := range uses {
		if i > 0 && uses[i-1].where() != u.where() {
			now = now[:0]
		}
		now = slices.DeleteFunc(now, func(o Use) bool { return o.ended(u.Begin) })
		for _, o := range now {
			if d, clash := overlap(o, u); clash && !migrating(append(slices.Clone(now), u), o, u) {
				out = append(out, d)
			}
		}
		now = append(now, u)
	}
	return out
}

// overlap tells whether two uses of one address are a clash, and when. o did
// not begin after u.
func overlap(o, u Use) (Duplicate, bool) {
	if o.same(u.Holder) || o.where() != u.where() || o.ended(u.Begin) || u.ended(o.Begin) {
		return Duplicate{}, false
	}
	d := Duplicate{One: o, Other: u, From: u.Begin, To: o.End}
	if d.To.IsZero() || !u.End.IsZero() && u.End.Before(d.To) {
		d.To = u.End
	}
	return d, true
}

// migrating tells whether two holders are the only ones of their migration
// among those that have the address now.
func migrating(now []Use, o, u Use) bool {
	if o.Migration == "" || o.Migration != u.Migration {
		return false
	}
	for _, x := range now {
		if x.Migration == o.Migration && !x.same(o.Holder) && !x.same(u.Holder) {
			return false
		}
	}
	return true
}
