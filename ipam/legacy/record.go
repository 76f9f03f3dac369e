package legacy

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
)

// Origins of records, as IPAddress.spec.origin has them.
const (
	FromWhereabouts = "whereabouts"
	FromHostLocal   = "host-local"
	// FromPods are addresses that a Pod's network-status shows on a network of
	// whereabouts, and that whereabouts itself has lost.
	FromPods = "network-status"
)

// Record is one address that was given out.
type Record struct {
	Origin  string     `json:"origin"`
	Domain  string     `json:"domain"`
	Address netip.Addr `json:"address"`
	// Namespace and Pod are whose it is; empty where the plugin did not note it.
	Namespace string `json:"namespace,omitempty"`
	Pod       string `json:"pod,omitempty"`
	// ContainerID and IfName are the interface; older versions noted no name.
	ContainerID string `json:"containerID,omitempty"`
	IfName      string `json:"interface,omitempty"`
	// Range that it was given out of.
	Range string `json:"range,omitempty"`
	// Node whose file it is (host-local).
	Node string `json:"node,omitempty"`
	// Source is the object or file that says so.
	Source string `json:"source"`
}

// owner is whose the record is, for people.
func (r Record) owner() string {
	switch {
	case r.Pod != "" && r.IfName != "":
		return r.Namespace + "/" + r.Pod + " (" + r.IfName + ")"
	case r.Pod != "":
		return r.Namespace + "/" + r.Pod
	case r.ContainerID != "":
		return "container " + short(r.ContainerID)
	}
	return "nobody named"
}

func short(id string) string { return id[:min(len(id), 13)] }

// Kind sorts Problems.
type Kind string

// Kinds of problems. Duplicate is the one that must not be.
const (
	Unreadable     Kind = "unreadable"
	UnknownNetwork Kind = "unknown-network"
	OutsideRange   Kind = "outside-range"
	// Structural: the network or the broadcast address of its range.
	Structural Kind = "network-or-broadcast-address"
	// Twice: two records have one address.
	Twice Kind = "recorded-twice"
	// Disagree: pool and reservation name different Pods.
	Disagree Kind = "pool-and-reservation-disagree"
	// Unpooled: a reservation that no pool knows of.
	Unpooled Kind = "reservation-without-allocation"
	// Unreserved: an allocation without the reservation that others have.
	Unreserved Kind = "allocation-without-reservation"
)

// Problem is something in the plugin's own records that is not as it should be.
type Problem struct {
	Kind Kind `json:"kind"`
	// Address is invalid where the problem is not about one.
	Address netip.Addr `json:"address,omitzero"`
	Source  string     `json:"source"`
	Message string     `json:"message"`
	Fix     string     `json:"fix,omitempty"`
	// Lost: nothing was taken over of it.
	Lost bool `json:"lost,omitempty"`
}

// Found is what was read.
type Found struct {
	Records  []Record  `json:"records"`
	Problems []Problem `json:"problems"`
}

// Add puts another finding to this one.
func (f *Found) Add(more Found) {
	f.Records = append(f.Records, more.Records...)
	f.Problems = append(f.Problems, more.Problems...)
}

func (f *Found) problem(p Problem) { f.Problems = append(f.Problems, p) }

// sort orders by domain and address, so that two reads of one state are equal.
func (f *Found) sort() {
	slices.SortStableFunc(f.Records, func(a, b Record) int {
		return cmp.Or(strings.Compare(a.Domain, b.Domain), a.Address.Compare(b.Address), strings.Compare(a.Source, b.Source))
	})
	slices.SortStableFunc(f.Problems, func(a, b Problem) int {
		return cmp.Or(a.Address.Compare(b.Address), strings.Compare(string(a.Kind), string(b.Kind)), strings.Compare(a.Source, b.Source))
	})
}
