package lease

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// ID is a node's name.
type ID string

// Members is a list of the nodes that make promises. A change goes through a
// joint list (In and Out), whose majorities are majorities of both (Ongaro and
// Ousterhout, "In Search of an Understandable Consensus Algorithm", section 6).
type Members struct {
	// Version orders lists: of two that a node sees the higher counts.
	Version Version
	// In are the members. Out, unless it is empty, are those that a change
	// replaces.
	In, Out []ID
}

// Version of a list: the epoch of the owner that made it, then its count.
type Version struct{ Epoch, Count uint64 }

// Compare orders versions.
func (v Version) Compare(o Version) int {
	return cmp.Or(cmp.Compare(v.Epoch, o.Epoch), cmp.Compare(v.Count, o.Count))
}

// Kept is what a node keeps on disk, and starts with again.
type Kept struct {
	Members Members
	// Floor is an epoch below which the node grants nothing any more. Epochs
	// are otherwise forgotten by a restart, which the order of lists must not
	// suffer from: a majority keeps the epoch before a list is made with it.
	Floor uint64
}

// NewMembers is the first list, before any change.
func NewMembers(ids ...ID) (Members, error) {
	in := slices.Clone(ids)
	slices.Sort(in)
	if len(in) == 0 || in[0] == "" {
		return Members{}, fmt.Errorf("members: the list is empty or has an empty name in it")
	}
	if d := slices.Compact(slices.Clone(in)); len(d) != len(in) {
		return Members{}, fmt.Errorf("members %s: a name stands there twice", names(in))
	}
	return Members{In: in}, nil
}

// Has tells whether a node is in the list.
func (m Members) Has(id ID) bool { return slices.Contains(m.In, id) || slices.Contains(m.Out, id) }

// All are the nodes of the list, in order.
func (m Members) All() []ID {
	all := slices.Concat(m.In, m.Out)
	slices.Sort(all)
	return slices.Compact(all)
}

// Equal compares everything.
func (m Members) Equal(o Members) bool {
	return m.Version == o.Version && slices.Equal(m.In, o.In) && slices.Equal(m.Out, o.Out)
}

// agreed is the latest instant that a majority reaches: that of each node is
// given by at, and nodes that it does not know have none (false).
func (m Members) agreed(at func(ID) (Instant, bool)) (Instant, bool) {
	in, ok := majority(m.In, at)
	if !ok || len(m.Out) == 0 {
		return in, ok
	}
	out, ok := majority(m.Out, at)
	return min(in, out), ok
}

func majority(ids []ID, at func(ID) (Instant, bool)) (Instant, bool) {
	var known []Instant
	for _, id := range ids {
		if i, ok := at(id); ok {
			known = append(known, i)
		}
	}
	need := len(ids)/2 + 1
	if len(known) < need {
		return 0, false
	}
	slices.Sort(known)
	return known[len(known)-need], true
}

func (m Members) String() string {
	if len(m.Out) == 0 {
		return names(m.In)
	}
	return names(m.Out) + " to " + names(m.In)
}

func names(ids []ID) string {
	words := make([]string, len(ids))
	for i, id := range ids {
		words[i] = string(id)
	}
	return strings.Join(words, ",")
}
