package doctor

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"

	"github.com/tsunagu-net/tsunagu/ipam"
)

// Holding is one address on one interface of a Pod, as the Pod's
// network-status says.
type Holding struct {
	Pod       *corev1.Pod
	Network   string // as in network-status: namespace/name; of the pod network the name of its configuration
	Interface string
	MAC       string
	Default   bool // the pod network
	Address   netip.Addr
	Domain    string
	// Managed is false when the address was written down by somebody instead
	// of given out.
	Managed bool
}

// Holdings lists every address on an interface of a Pod that has one, without
// link-local addresses. Pods on the node's own network, and those whose
// containers have ended, hold none.
func (s *Snapshot) Holdings() []Holding {
	var all []Holding
	domain := s.domains()
	for i := range s.Pods {
		p := &s.Pods[i]
		if Finished(p) || p.Spec.HostNetwork {
			continue
		}
		all = append(all, holdingsOf(p, domain)...)
	}
	return all
}

// HoldingsOf lists the addresses of one Pod. Without network-status the
// addresses of status.podIPs are those of its first interface.
func (s *Snapshot) HoldingsOf(p *corev1.Pod) []Holding { return holdingsOf(p, s.Domain) }

// domains is Domain with a memory: many Pods are on one network.
func (s *Snapshot) domains() func(network string) (string, bool) {
	type answer struct {
		domain  string
		managed bool
	}
	known := map[string]answer{}
	return func(network string) (string, bool) {
		a, ok := known[network]
		if !ok {
			a.domain, a.managed = s.Domain(network)
			known[network] = a
		}
		return a.domain, a.managed
	}
}

func holdingsOf(p *corev1.Pod, domain func(network string) (string, bool)) []Holding {
	var all []Holding
	interfaces, err := Status(p)
	if err != nil || len(interfaces) == 0 {
		for _, ip := range p.Status.PodIPs {
			if a, err := netip.ParseAddr(ip.IP); err == nil {
				all = append(all, Holding{Pod: p, Interface: "eth0", Default: true, Address: a.Unmap(), Domain: ipam.PodDomain, Managed: true})
			}
		}
		return all
	}
	for _, i := range interfaces {
		h := Holding{Pod: p, Network: i.Name, Interface: i.Interface, MAC: i.Mac, Default: i.Default, Domain: ipam.PodDomain, Managed: true}
		if !i.Default {
			h.Domain, h.Managed = domain(i.Name)
		}
		for _, ip := range i.IPs {
			a, err := netip.ParseAddr(ip)
			if err != nil || a.IsLinkLocalUnicast() {
				continue
			}
			h.Address = a.Unmap()
			all = append(all, h)
		}
	}
	return all
}
