package attach

import (
	"encoding/json"
	"strings"
)

// The plugins of a Pod's interfaces are carried out at the same time, but for those of which one could see what the other did: then the order
// of the annotation is kept, so that the same Pod comes out the same every time.

// after lists for each interface the earlier ones whose plugins must be done before its own begin.
func after(names []string, chains map[string]chainRecord) [][]int {
	all, touched := make([][]int, len(names)), make([]touch, len(names))
	for i, name := range names {
		c, ok := chains[name]
		if !ok {
			continue // it is there already
		}
		touched[i] = c.touches()
		for j := range i {
			if _, waits := chains[names[j]]; waits && touched[i].follows(touched[j], names[j]) {
				all[i] = append(all[i], j)
			}
		}
	}
	return all
}

// touch is what the steps on an interface read or change beyond it, as far as their configurations tell.
type touch struct {
	// shared are things that another's steps may change too: the addresses of a network, which a plugin gives out one by one, sysctls,
	// destinations and tables of routes.
	shared map[string]bool
	// words are all texts of the configurations: one may be the name of another interface of the Pod.
	words map[string]bool
}

// follows tells whether steps must come after those of an interface called ifName.
func (t touch) follows(earlier touch, ifName string) bool {
	if t.words[ifName] {
		return true
	}
	for what := range t.shared {
		if earlier.shared[what] {
			return true
		}
	}
	return false
}

func (c chainRecord) touches() touch {
	t := touch{map[string]bool{}, map[string]bool{}}
	for _, s := range c.Steps {
		var ipam struct{ IPAM struct{ Type string } }
		if json.Unmarshal(s.Raw, &ipam) == nil && ipam.IPAM.Type != "" {
			t.shared["addresses "+c.Name] = true
		}
		if s.Type == "sbr" || s.Type == "vrf" { // they take the next table that is free
			t.shared["tables"] = true
		}
		var config any
		if json.Unmarshal(s.Raw, &config) == nil {
			t.read("", config)
		}
	}
	return t
}

// read walks through a configuration.
func (t touch) read(key string, value any) {
	switch v := value.(type) {
	case map[string]any:
		for k, inner := range v {
			if key == "sysctl" {
				t.shared["sysctl "+strings.ReplaceAll(k, "/", ".")] = true
			}
			t.read(k, inner)
		}
	case []any:
		for _, inner := range v {
			t.read(key, inner)
		}
	case bool:
		if v && key == "isDefaultGateway" {
			t.shared["route 0.0.0.0/0"], t.shared["route ::/0"] = true, true
		}
	case string:
		if t.words[v] = true; key == "dst" {
			t.shared["route "+v] = true
		}
	}
}
