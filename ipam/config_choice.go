package ipam

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// choice is an element of ipam.pools: the name of an IPPool, or a list of
// names that are tried in turn.
type choice []string

func (c *choice) UnmarshalJSON(raw []byte) error {
	var name string
	if json.Unmarshal(raw, &name) == nil {
		*c = choice{name}
		return nil
	}
	var names []string
	if json.Unmarshal(raw, &names) != nil {
		return errors.New("each of pools must be the name of an IPPool, or a list of names that are tried in turn")
	}
	*c = names
	return nil
}

// names reads ipam.pools.
func (s section) names(c *Config) error {
	var all []string
	for i, set := range s.Pools {
		for _, name := range set {
			if name == "" || slices.Contains(all, name) {
				return bad(fmt.Sprintf("ipam.pools[%d] %q: must be the name of an IPPool, each once", i, name), "correct the list of pools")
			}
			all = append(all, name)
		}
		if len(set) == 0 {
			return bad(fmt.Sprintf("ipam.pools[%d]: is an empty list", i), "name an IPPool, or leave it out")
		}
		c.PoolNames = append(c.PoolNames, set)
	}
	return nil
}

// AllPoolNames are the IPPools that are named, tried first or later.
func (c Config) AllPoolNames() []string { return slices.Concat(c.PoolNames...) }

// AllPools are the pools that are written out, tried first or later.
func (c Config) AllPools() []Pool { return slices.Concat(c.Pools...) }
