package doctor

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/tsunagu-net/tsunagu/ipam"
)

var uncoveredAddress = Check{
	Code:  "TSU5009",
	Title: "a Pod has an address that nobody keeps for it",
	Explain: `Every address that is given out in a domain lies in an IPBlock of the Pod's node, or is bound by an IPAddress. One that is neither ` +
		`may be given to another Pod. It comes about when IPBlocks or IPAddresses were deleted by hand (the node's agent makes them anew within ` +
		`minutes), or when the Pod was attached by another IPAM plugin: whereabouts, before tsunagu took over.`,
	Needs: []Part{Pods, Definitions, Pools, Blocks, Addresses},
	Look: func(s *Snapshot) []Finding {
		covered, config := s.coverage(), s.configs()
		var found []Finding
		for _, h := range s.Holdings() {
			// With type host-local each node counts by itself: no object keeps those.
			if h.Default || !h.Managed || s.young(h.Pod) || covered.by(h) || config(h.Network).Type == ipam.TypeHostLocal {
				continue
			}
			found = append(found, Finding{
				Severity: Error,
				Object:   podObject(h.Pod),
				Cause: fmt.Sprintf("%s on %s (%s, domain %s) lies in no IPBlock of node %s and no IPAddress binds it", h.Address, h.Interface, h.where(),
					h.Domain, h.Pod.Spec.NodeName),
				Breaks: "another Pod may get the same address",
				Fix:    "if whereabouts gave it out: tsunagu address import; else see that the agent of the node runs, or delete the Pod",
			})
		}
		return found
	},
}

var strayAddress = Check{
	Code:  "TSU5010",
	Title: "a Pod has an address outside the ranges of its network",
	Explain: `The ranges of an IPPool or a definition were changed while Pods had addresses of them. The Pods go on with theirs; their replacements ` +
		`get others.`,
	Needs: []Part{Pods, Definitions, Pools},
	Look: func(s *Snapshot) []Finding {
		config := s.configs()
		var found []Finding
		for _, h := range s.Holdings() {
			if h.Default || !h.Managed {
				continue
			}
			why, ok := s.outside(h, config(h.Network))
			if !ok {
				continue
			}
			found = append(found, Finding{
				Severity: Warning,
				Object:   podObject(h.Pod),
				Cause:    fmt.Sprintf("%s on %s (%s): %s", h.Address, h.Interface, h.where(), why),
				Breaks:   "nothing now; the Pod's replacement cannot have the address",
				Fix:      "add it to the ranges again, or replace the Pod when it suits",
			})
		}
		return found
	},
}

// young tells whether a Pod was made while the snapshot was taken, whose lists
// are not all of the same moment.
func (s *Snapshot) young(p *corev1.Pod) bool {
	return s.Time.Sub(p.CreationTimestamp.Time) < time.Minute
}

// coverage is who keeps addresses.
type coverage struct {
	bound  map[bound]bool
	blocks map[string][]ipam.Block // by domain and node
}

type bound struct {
	domain  string
	address netip.Addr
}

func (s *Snapshot) coverage() coverage {
	c := coverage{map[bound]bool{}, map[string][]ipam.Block{}}
	for i := range s.Addresses {
		if a, err := ipam.AddressFrom(&s.Addresses[i]); err == nil {
			c.bound[bound{a.Domain, a.Address}] = true
		}
	}
	for i := range s.Blocks {
		if b, err := ipam.BlockFrom(&s.Blocks[i]); err == nil {
			c.blocks[b.Domain+"/"+b.Node] = append(c.blocks[b.Domain+"/"+b.Node], b)
		}
	}
	return c
}

func (c coverage) by(h Holding) bool {
	if c.bound[bound{h.Domain, h.Address}] {
		return true
	}
	for _, b := range c.blocks[h.Domain+"/"+h.Pod.Spec.NodeName] {
		if b.Prefix.Contains(h.Address) {
			return true
		}
	}
	return false
}

// configs finds the ipam section of a network as network-status names it, with
// a memory: many Pods are on one network. One that cannot be read is empty.
func (s *Snapshot) configs() func(network string) ipam.Config {
	known := map[string]ipam.Config{}
	return func(network string) ipam.Config {
		c, ok := known[network]
		if ok {
			return c
		}
		namespace, name, _ := strings.Cut(network, "/")
		if d := s.definition(namespace, name); d != nil {
			if plugins, err := parsePlugins(d.Spec.Config); err == nil {
				if c, err = ipam.ParseConfig(plugins[0].IPAM); err != nil {
					c = ipam.Config{}
				}
			}
		}
		known[network] = c
		return c
	}
}

// outside says why no pool of its network gives a held address out.
func (s *Snapshot) outside(h Holding, c ipam.Config) (string, bool) {
	why := ""
	pools := c.AllPools()
	for _, name := range c.AllPoolNames() {
		if p := s.pool(name); p != nil {
			if parsed, err := ipam.ParsePool(*p); err == nil {
				pools = append(pools, parsed)
			}
		}
	}
	for _, one := range c.Static {
		if one.Prefix.Addr() == h.Address {
			return "", false
		}
	}
	for _, p := range pools {
		err := p.Refuse(h.Address)
		if err == nil {
			return "", false
		}
		if p.Prefix.Addr().Is4() == h.Address.Is4() && why == "" {
			why, _, _ = strings.Cut(err.Error(), "; ")
		}
	}
	return why, why != ""
}
