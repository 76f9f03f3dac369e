package ovs

import (
	"slices"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

func set(of ...any) ovsdb.OvsSet { return ovsdb.OvsSet{GoSet: of} }

// ids are external_ids without those that have no value.
func ids(of map[string]string) ovsdb.OvsMap {
	m := ovsdb.OvsMap{GoMap: map[any]any{}}
	for k, v := range of {
		if v != "" {
			m.GoMap[k] = v
		}
	}
	return m
}

func idOf(r ovsdb.Row, key string) string {
	m, _ := r["external_ids"].(ovsdb.OvsMap)
	return text(m.GoMap[key])
}

// text is a text; an optional one that is not there is an empty set, and "".
func text(v any) string {
	s, _ := v.(string)
	return s
}

// numbers are those of a set; one alone is written without.
func numbers(v any) (all []uint16) {
	switch v := v.(type) {
	case float64:
		all = append(all, uint16(v))
	case ovsdb.OvsSet:
		for _, one := range v.GoSet {
			if n, ok := one.(float64); ok {
				all = append(all, uint16(n))
			}
		}
	}
	slices.Sort(all)
	return all
}
