package legacy

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/tsunagu-net/tsunagu/ipam"
)

// Pod is what must be known of a Pod to match records with it.
type Pod struct {
	Namespace, Name, UID, Node string
	// Finished Pods have no interfaces any more.
	Finished bool
	// Interfaces are what network-status shows; Unsaid means that it shows
	// nothing that can be read, which is no evidence of anything.
	Interfaces []Interface
	Unsaid     bool
}

func (p Pod) String() string { return p.Namespace + "/" + p.Name }

// Interface is one of a Pod's interfaces on a network of a definition.
type Interface struct {
	Name, Network string
	Addresses     []netip.Addr
}

// World is what records are held against.
type World struct {
	Pods []Pod
	// Nodes are UIDs by name.
	Nodes       map[string]string
	Definitions []Definition
	// Bound and Blocks are what tsunagu has given out already.
	Bound  []ipam.Address
	Blocks []ipam.Block
}

// Verb is what becomes of an address.
type Verb string

// Verbs of steps.
const (
	// Bind: an IPAddress is made for it.
	Bind Verb = "import"
	// Present: the IPAddress is there; the blocks are looked at again.
	Present Verb = "present"
	// Replace: the IPAddress of an earlier import is for somebody who is gone.
	Replace Verb = "update"
	// Own: tsunagu itself has given it to that Pod.
	Own Verb = "tsunagu's own"
	// Gone: no Pod that lives has it.
	Gone Verb = "no live pod"
	// Duplicate: more than one has it; it is kept from everybody else.
	Duplicate Verb = "duplicate"
	// Conflict: tsunagu has given it to somebody else.
	Conflict Verb = "conflict"
)

// Step is what becomes of one address.
type Step struct {
	Verb    Verb       `json:"action"`
	Domain  string     `json:"domain"`
	Address netip.Addr `json:"address"`
	// Bind is what the IPAddress is to be, for Bind, Present, Replace and
	// Duplicate.
	Bind ipam.Address `json:"-"`
	// Old is the object to be replaced.
	Old *ipam.Address `json:"-"`
	// Record is what says so, the first of several.
	Record Record `json:"record"`
	// Owners are the Pods that have it, one unless it is a duplicate.
	Owners []string `json:"owners"`
	Node   string   `json:"node,omitempty"`
	Note   string   `json:"note,omitempty"`
}

// planner is one Make.
type planner struct {
	World
	byName map[string]*Pod
	// shown are the Pods that show an address on a network of its domain.
	shown    map[spot][]claim
	networks map[string][]network // by reference
	bound    map[spot]*ipam.Address
}

// claim is a Pod that has an address, by an interface.
type claim struct {
	pod    *Pod
	ifName string
	record Record
	note   string
}

// Make says what becomes of each address, by domain and address.
func Make(records []Record, w World) []Step {
	p := &planner{World: w, byName: map[string]*Pod{}, shown: map[spot][]claim{}, networks: map[string][]network{}, bound: map[spot]*ipam.Address{}}
	p.look()
	groups := map[spot][]Record{}
	for _, r := range records {
		at := spot{r.Domain, r.Address}
		groups[at] = append(groups[at], r)
	}
	lost := p.unrecorded(groups)
	for at, r := range lost {
		groups[at] = []Record{r}
	}
	var steps []Step
	for at, group := range groups {
		steps = append(steps, p.step(at, group))
	}
	slices.SortFunc(steps, func(a, b Step) int {
		return cmp.Or(strings.Compare(a.Domain, b.Domain), a.Address.Compare(b.Address))
	})
	return steps
}

// look arranges the world by what it is looked up by.
func (p *planner) look() {
	for _, d := range p.Definitions {
		if networks, err := d.networks(); err == nil {
			p.networks[d.String()] = networks
		}
	}
	for i := range p.Pods {
		pod := &p.Pods[i]
		p.byName[pod.String()] = pod
		if pod.Finished {
			continue
		}
		for _, on := range pod.Interfaces {
			for _, a := range on.Addresses {
				for _, domain := range p.domains(on.Network, a) {
					at := spot{domain, a}
					p.shown[at] = append(p.shown[at], claim{pod: pod, ifName: on.Name})
				}
			}
		}
	}
	for i, b := range p.Bound {
		p.bound[spot{b.Domain, b.Address}] = &p.Bound[i]
	}
}

// domains are those that an address on a network may be of.
func (p *planner) domains(ref string, a netip.Addr) []string {
	var all []string
	for _, n := range p.networks[ref] {
		switch {
		case n.kind == FromHostLocal:
			all = append(all, ipam.DomainOf(n.name))
		case n.contains(a):
			all = append(all, ipam.DomainOf(n.networkName))
		}
	}
	return all
}

// unrecorded are addresses of whereabouts that Pods have and no record knows:
// whereabouts loses some when a write fails, and would give them out again.
func (p *planner) unrecorded(groups map[spot][]Record) map[spot]Record {
	lost := map[spot]Record{}
	for i := range p.Pods {
		pod := &p.Pods[i]
		if pod.Finished {
			continue
		}
		for _, on := range pod.Interfaces {
			for _, n := range p.networks[on.Network] {
				if n.kind != ipam.TypeWhereabouts {
					continue
				}
				for _, a := range on.Addresses {
					at := spot{ipam.DomainOf(n.networkName), a}
					if len(groups[at]) > 0 || !n.contains(a) || p.bound[at] != nil || p.leased(at, pod.Node) {
						continue
					}
					lost[at] = Record{Origin: FromWhereabouts, Domain: at.domain, Address: a, Namespace: pod.Namespace, Pod: pod.Name, IfName: on.Name,
						Source: "network-status of Pod " + pod.String()}
				}
			}
		}
	}
	return lost
}

// leased tells whether an address lies in a block of a node: then tsunagu gave
// it to a Pod there.
func (p *planner) leased(at spot, node string) bool {
	return slices.ContainsFunc(p.Blocks, func(b ipam.Block) bool {
		return b.Domain == at.domain && b.Node == node && b.Prefix.Contains(at.address) && b.Holes&(1<<(low(at.address)-low(b.Prefix.Addr()))) == 0
	})
}

func low(a netip.Addr) int {
	b := a.As16()
	return int(b[15])
}

// step decides about one address.
func (p *planner) step(at spot, group []Record) Step {
	s := Step{Domain: at.domain, Address: at.address, Record: group[0], Owners: []string{}}
	var live []claim
	var gone []string
	for _, r := range group {
		found, why := p.claims(at, r)
		if len(found) == 0 {
			gone = append(gone, why)
		}
		for _, c := range found {
			if !slices.ContainsFunc(live, func(o claim) bool { return o.pod == c.pod }) {
				live = append(live, c)
			}
		}
	}
	// A Pod that shows the address has it, whatever the records say.
	for _, c := range p.shown[at] {
		if !slices.ContainsFunc(live, func(o claim) bool { return o.pod == c.pod }) {
			c.record, c.note = group[0], "its network-status shows the address, the record names another"
			live = append(live, c)
		}
	}
	if len(live) == 0 {
		s.Verb, s.Note = Gone, strings.Join(slices.Compact(gone), "; ")
		return s
	}
	slices.SortStableFunc(live, func(a, b claim) int { return strings.Compare(a.pod.String(), b.pod.String()) })
	for _, c := range live {
		s.Owners = append(s.Owners, c.pod.String())
	}
	first := live[0]
	s.Record, s.Node, s.Note = first.record, first.pod.Node, first.note
	s.Bind = ipam.Address{Domain: at.domain, Address: at.address, Origin: group[0].Origin}
	if len(live) > 1 {
		s.Verb = Duplicate
		s.Note = "Pods " + strings.Join(s.Owners, " and ") + " have it; nobody else gets it. Delete one of them, then import again"
		s.Bind.Reserved = cutText("imported duplicate: in use by " + strings.Join(s.Owners, " and "))
	} else {
		s.Bind.Node, s.Bind.NodeUID = first.pod.Node, p.Nodes[first.pod.Node]
		s.Bind.Owner = ipam.Owner{Key: ipam.Key{IfName: first.ifName}, Namespace: first.pod.Namespace, Pod: first.pod.Name, UID: first.pod.UID}
		if r := first.record; r.Pod == "" || r.Namespace+"/"+r.Pod == first.pod.String() {
			s.Bind.Owner.ContainerID = r.ContainerID
		}
	}
	p.existing(&s, at)
	return s
}

// cutText keeps to the length of spec.reserved.
func cutText(text string) string { return text[:min(len(text), 256)] }

// existing compares with the IPAddress there is.
func (p *planner) existing(s *Step, at spot) {
	old := p.bound[at]
	switch {
	case old == nil && s.Verb == Duplicate:
	case old == nil && p.leasedByPod(s, at):
		s.Verb = Own
	case old == nil:
		s.Verb = Bind
	case old.Origin == "" && old.Owner.Namespace == s.Bind.Owner.Namespace && old.Owner.Pod == s.Bind.Owner.Pod && old.Owner.Pod != "":
		s.Verb = Own
	case old.Origin == "":
		s.Verb, s.Note = Conflict, "IPAddress "+old.Name+" binds it to "+holder(*old)
	case old.Owner == s.Bind.Owner && old.NodeUID == s.Bind.NodeUID && old.Reserved == s.Bind.Reserved:
		if s.Verb != Duplicate {
			s.Verb = Present
		}
		s.Old = old
	default:
		if s.Verb != Duplicate {
			s.Verb = Replace
		}
		s.Old = old
	}
}

// leasedByPod tells whether the Pod got the address from tsunagu: its node has
// a block around it, and its interface is not one that the record made.
func (p *planner) leasedByPod(s *Step, at spot) bool {
	return strings.HasPrefix(s.Record.Source, "network-status") && p.leased(at, s.Node)
}

func holder(a ipam.Address) string {
	switch {
	case a.Owner.Pod != "":
		return "Pod " + a.Owner.Namespace + "/" + a.Owner.Pod
	case a.Reserved != "":
		return "nobody, it is reserved: " + a.Reserved
	case a.Claim.Name != "":
		return "IPClaim " + a.Claim.Namespace + "/" + a.Claim.Name
	case a.Quarantine != nil:
		return "nobody, it is in quarantine"
	}
	return "nobody"
}

// claims are the Pods that have the address of a record, or why there is none.
func (p *planner) claims(at spot, r Record) ([]claim, string) {
	if r.Pod == "" || r.Namespace == "" {
		return p.byAddress(at, r)
	}
	pod := p.byName[r.Namespace+"/"+r.Pod]
	switch {
	case pod == nil:
		return nil, fmt.Sprintf("Pod %s/%s is not in the cluster", r.Namespace, r.Pod)
	case pod.Finished:
		return nil, fmt.Sprintf("Pod %s has ended", pod)
	case pod.Node == "":
		return nil, fmt.Sprintf("Pod %s is on no node", pod)
	case pod.Unsaid:
		// Not saying anything is no evidence that it has not the address.
		return []claim{{pod, r.IfName, r, "the Pod has no network-status: kept, because it may have the address"}}, ""
	}
	if ifName, ok := pod.has(at.address); ok {
		return []claim{{pod, cmp.Or(r.IfName, ifName), r, ""}}, ""
	}
	if r.IfName == "" {
		return nil, fmt.Sprintf("Pod %s has other addresses now", pod)
	}
	for _, on := range pod.Interfaces {
		if on.Name == r.IfName && slices.ContainsFunc(on.Addresses, func(a netip.Addr) bool { return a.Is4() == at.address.Is4() }) {
			return nil, fmt.Sprintf("%s of Pod %s has %s now", r.IfName, pod, on.list())
		}
	}
	return []claim{{pod, r.IfName, r, "the Pod's network-status does not name " + r.IfName + ": kept, because it may be on its way"}}, ""
}

// byAddress finds the Pods of a record that names none.
func (p *planner) byAddress(at spot, r Record) ([]claim, string) {
	var found []claim
	for _, c := range p.shown[at] {
		if r.Node == "" || c.pod.Node == r.Node {
			c.record = r
			found = append(found, c)
		}
	}
	if len(found) == 0 && r.Node != "" {
		return nil, "no Pod of node " + r.Node + " shows the address"
	}
	return found, "the record names no Pod, and none shows the address"
}

// has finds the interface with an address.
func (p *Pod) has(a netip.Addr) (ifName string, ok bool) {
	for _, on := range p.Interfaces {
		if slices.Contains(on.Addresses, a) {
			return on.Name, true
		}
	}
	return "", false
}

func (i Interface) list() string {
	var words []string
	for _, a := range i.Addresses {
		words = append(words, a.String())
	}
	return strings.Join(words, ", ")
}
