package doctor

import (
	"fmt"
	"net/netip"
)

var duplicateAddress = Check{
	Code:  "TSU5005",
	Title: "two Pods have one address",
	Explain: `This must never be: within a domain an address belongs to one interface. When both Pods' addresses were given out by tsunagu it is a ` +
		`fault of tsunagu, please report it with the output of "tsunagu doctor -o json". A definition of ipam type static gives its address ` +
		`to every Pod that uses it. The two Pods of a virtual machine that migrates have one address by right.`,
	Needs: []Part{Pods, Definitions, Pools},
	Look: func(s *Snapshot) []Finding {
		type key struct {
			domain  string
			address netip.Addr
		}
		first := map[key]Holding{}
		migrating := s.migrations()
		var found []Finding
		for _, h := range s.Holdings() {
			k := key{h.Domain, h.Address}
			other, taken := first[k]
			if !taken {
				first[k] = h
				continue
			}
			if migrating[migration{h.Domain, h.Address, h.Pod.Namespace + "/" + h.Pod.Name}] || migrating[migration{h.Domain, h.Address, other.Pod.Namespace + "/" + other.Pod.Name}] {
				continue
			}
			f := Finding{
				Severity: Error,
				Object:   podObject(h.Pod),
				Cause: fmt.Sprintf("%s on %s (%s, node %s) is also on %s of Pod %s/%s (node %s)", h.Address, h.Interface, h.where(), h.Pod.Spec.NodeName,
					other.Interface, other.Pod.Namespace, other.Pod.Name, other.Pod.Spec.NodeName),
				Breaks: "traffic for the address reaches one of the two, now this one, now the other",
				Fix: fmt.Sprintf("delete one of the two Pods, it gets another address: kubectl -n %s delete pod %s; then report it",
					h.Pod.Namespace, h.Pod.Name),
			}
			if !h.Managed {
				f.Severity = Warning
				f.Cause += "; nobody gives out this network's addresses, they are written down"
				f.Fix = "use one Pod for such a definition, or ipam type tsunagu with an IPPool"
			}
			found = append(found, f)
		}
		return found
	},
}

// migration is an address and the Pod that a virtual machine brings it to.
type migration struct {
	domain  string
	address netip.Addr
	pod     string
}

func (s *Snapshot) migrations() map[migration]bool {
	all := map[migration]bool{}
	for _, a := range s.Addresses {
		if in := a.Spec.Incoming; in.Pod != "" {
			if x, err := netip.ParseAddr(a.Spec.Address); err == nil {
				all[migration{a.Spec.Domain, x.Unmap(), in.Namespace + "/" + in.Pod}] = true
			}
		}
	}
	return all
}

// where names the network of an address for people.
func (h Holding) where() string {
	if h.Default {
		return "pod network"
	}
	return "network " + h.Network
}
