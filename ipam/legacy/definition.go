package legacy

import (
	"encoding/json"
	"fmt"
	"net/netip"

	"github.com/tsunagu-net/tsunagu/ipam"
)

// Definition is a NetworkAttachmentDefinition, unread.
type Definition struct{ Namespace, Name, Config string }

func (d Definition) String() string { return d.Namespace + "/" + d.Name }

// network is what a definition's ipam section says of whereabouts or host-local.
type network struct {
	ref  string
	kind string
	// name is the configuration's name, which is host-local's folder.
	name string
	// networkName is whereabouts' network_name.
	networkName string
	ranges      []netip.Prefix
	sliced      bool
	// alone: enable_overlapping_ranges is false, there are no reservations.
	alone bool
	// whole: network and broadcast addresses may be given out.
	whole bool
}

type ipamSection struct {
	Type        string `json:"type"`
	NetworkName string `json:"network_name"`
	Range       string `json:"range"`
	Ranges      []struct {
		Range string `json:"range"`
	} `json:"ipRanges"`
	Slice       string `json:"node_slice_size"`
	Overlapping *bool  `json:"enable_overlapping_ranges"`
	Whole       bool   `json:"enable_l3"`
}

// networks reads the ipam sections of a definition. One that cannot be read has
// none, and the error says why.
func (d Definition) networks() ([]network, error) {
	var conf struct {
		Name    string       `json:"name"`
		IPAM    *ipamSection `json:"ipam"`
		Plugins []struct {
			IPAM *ipamSection `json:"ipam"`
		} `json:"plugins"`
	}
	if d.Config == "" {
		return nil, nil
	}
	if err := json.Unmarshal([]byte(d.Config), &conf); err != nil {
		return nil, fmt.Errorf("read spec.config of NetworkAttachmentDefinition %s: %w", d, err)
	}
	sections := []*ipamSection{conf.IPAM}
	for _, p := range conf.Plugins {
		sections = append(sections, p.IPAM)
	}
	var all []network
	for _, s := range sections {
		if s == nil || s.Type == "" {
			continue
		}
		n := network{ref: d.String(), kind: s.Type, name: conf.Name, networkName: s.NetworkName, sliced: s.Slice != "",
			alone: s.Overlapping != nil && !*s.Overlapping, whole: s.Whole}
		if n.name == "" {
			n.name = d.Name // Multus names it so
		}
		texts := []string{s.Range}
		for _, r := range s.Ranges {
			texts = append(texts, r.Range)
		}
		for _, text := range texts {
			if p, _, err := ipam.ParseSpan(text); err == nil {
				n.ranges = append(n.ranges, p)
			}
		}
		all = append(all, n)
	}
	return all, nil
}

// covers tells whether a range is one of the network's, or a slice of one.
func (n network) covers(p netip.Prefix) bool {
	for _, r := range n.ranges {
		if r == p.Masked() || n.sliced && r.Bits() <= p.Bits() && r.Contains(p.Addr()) {
			return true
		}
	}
	return false
}

func (n network) contains(a netip.Addr) bool {
	for _, r := range n.ranges {
		if r.Contains(a) {
			return true
		}
	}
	return false
}
