package attach

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// element is what an element of the annotation asks for, whatever its place in the list: two that say the same are equal. The name of the
// interface belongs to it only where the annotation names it.
func (s Selection) element() string {
	s.Index = 0
	if s.Auto {
		s.IfName = ""
	}
	text, err := json.Marshal(s)
	if err != nil { // all of it was JSON before
		panic("render an element of the annotation: " + err.Error())
	}
	return string(text)
}

// is tells whether an interface was made for this element. To name an interface that has its name already changes nothing.
func (s Selection) is(have string) bool {
	if have == s.element() {
		return true
	}
	s.Auto = true
	return have == s.element()
}

// selectionOf is the other way round.
func selectionOf(text, ifName string) (Selection, error) {
	var s Selection
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return s, fmt.Errorf("read what interface %s was asked for as: %w", ifName, err)
	}
	s.IfName = ifName
	return s, nil
}

// difference is what has to happen for a running Pod to have what its annotation says.
type difference struct {
	// All are the elements of the annotation, under the names that their interfaces have, or will have.
	All []Selection
	// Make are those of All without an interface, Gone the interfaces without an element. A name in both is exchanged.
	Make []Selection
	Gone []string
}

func (d difference) none() bool { return len(d.Make)+len(d.Gone) == 0 }

// exchanged tells whether an interface is taken away and another made under its name.
func (d difference) exchanged(ifName string) bool {
	return slices.Contains(d.Gone, ifName) && slices.ContainsFunc(d.Make, func(s Selection) bool { return s.IfName == ifName })
}

// compare finds the difference between the interfaces that there are, by name and with what was asked for, and what is asked for now.
//
// An element that names its interface is that interface. One that does not goes on having the interface that was made for the same
// element, also when its place in the list is another now: taking out the first network of a list must not interrupt the others. What is
// left is named as at ADD, by its place, or by the next number that is free.
func compare(have map[string]string, want []Selection) difference {
	var d difference
	kept := map[string]bool{} // names that are spoken for
	for _, s := range want {
		if !s.Auto {
			kept[s.IfName] = true
		}
	}
	d.All = slices.Clone(want)
	open := d.stay(have, kept)
	for _, i := range open {
		s := &d.All[i]
		for n := s.Index; s.Auto && kept[s.IfName]; n++ {
			s.IfName = fmt.Sprintf("net%d", n)
		}
		kept[s.IfName] = true
		if !s.is(have[s.IfName]) {
			d.Make = append(d.Make, *s)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(have)) {
		if i := slices.IndexFunc(d.All, func(s Selection) bool { return s.IfName == name }); i < 0 || !d.All[i].is(have[name]) {
			d.Gone = append(d.Gone, name)
		}
	}
	return d
}

// stay gives elements without a name the interfaces that they have, first those whose name is that of their place. It returns the places of
// all others.
func (d *difference) stay(have map[string]string, kept map[string]bool) (open []int) {
	settled := map[int]bool{}
	for _, exact := range []bool{true, false} {
		for i := range d.All {
			s := &d.All[i]
			if !s.Auto || settled[i] {
				continue
			}
			for _, name := range slices.Sorted(maps.Keys(have)) {
				if have[name] == s.element() && !kept[name] && (!exact || name == s.IfName) {
					s.IfName, kept[name], settled[i] = name, true, true
					break
				}
			}
		}
	}
	for i := range d.All {
		if !settled[i] {
			open = append(open, i)
		}
	}
	return open
}

// adopt guesses what the interfaces of a sandbox were asked for as, which is from before that was kept: elements that name their network
// and interface now are taken to have done so then.
func (r *Record) adopt(want []Selection) map[string]string {
	asked := map[string]string{}
	for i, w := range r.Interfaces {
		if i == 0 {
			continue
		}
		at := slices.IndexFunc(want, func(s Selection) bool { return s.IfName == w.IfName && s.Network() == w.Network })
		if at >= 0 {
			asked[w.IfName] = want[at].element()
		} else {
			asked[w.IfName] = ""
		}
	}
	return asked
}
