package kind

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
)

// plan decides everything about the interfaces of a sandbox that can be decided without looking at the node.
func plan(attachments []Attachment) ([]*job, error) {
	jobs := make([]*job, 0, len(attachments))
	names := map[string]bool{}
	for i := range attachments {
		a := &attachments[i]
		if err := checkAttachment(a); err != nil {
			return nil, a.blame(err)
		}
		if names[a.IfName] {
			return nil, NameTaken{IfName: a.IfName, By: "another attachment of the same Pod"}
		}
		names[a.IfName] = true
		j := &job{Attachment: a, hostIf: HostName(a.ContainerID, a.IfName), mtu: a.MTU, mac: a.MAC, addresses: a.Addresses}
		configured, mtu := a.Spec.link()
		if j.mtu == 0 {
			j.mtu = mtu
		}
		if j.mac == nil {
			j.mac = configured
		}
		j.asked = j.mac != nil
		if !j.asked && !a.Spec.keepsMAC() {
			j.mac = derivedMAC(a)
		}
		switch s := a.Spec.(type) {
		case Pod:
			j.addresses = alonePrefixes(a.Addresses)
		case Bridge:
			j.addresses = s.complete(a.Addresses)
		}
		jobs = append(jobs, j)
	}
	if err := planRoutes(jobs); err != nil {
		return nil, err
	}
	return jobs, nil
}

func checkAttachment(a *Attachment) error {
	switch {
	case a.Spec == nil:
		return BadConfig{Type: a.IfName, Message: "no kind of interface given"}
	case a.ContainerID == "":
		return BadConfig{Type: a.Spec.Type(), Message: "no container ID given"}
	case !ValidName(a.IfName):
		return BadConfig{Type: a.Spec.Type(), Message: fmt.Sprintf("%q cannot be the name of an interface: at most 15 bytes without space, '/' or ':'", a.IfName)}
	case a.IfName == "lo" && a.Spec.Type() != "loopback":
		return NameTaken{IfName: "lo", By: "the loopback interface"}
	case a.MAC != nil && (len(a.MAC) != 6 || a.MAC[0]&1 != 0):
		return BadConfig{Type: a.Spec.Type(), Field: "mac", Message: fmt.Sprintf("%s is not a 48-bit address of a single interface", a.MAC)}
	case a.MTU < 0 || a.MTU > 0 && a.MTU < 68 || a.MTU > 65535:
		return BadConfig{Type: a.Spec.Type(), Field: "mtu", Message: fmt.Sprintf("want 68 to 65535, have %d", a.MTU)}
	}
	seen := map[netip.Addr]bool{}
	for _, address := range a.Addresses {
		switch {
		case !address.Prefix.IsValid():
			return BadConfig{Type: a.Spec.Type(), Message: "an address is not valid"}
		case seen[address.Prefix.Addr()]:
			return BadConfig{Type: a.Spec.Type(), Message: fmt.Sprintf("address %s is given twice", address.Prefix.Addr())}
		case address.Gateway.IsValid() && address.Gateway.Is4() != address.Prefix.Addr().Is4():
			return BadConfig{Type: a.Spec.Type(), Message: fmt.Sprintf("address %s and its gateway %s are of two families", address.Prefix, address.Gateway)}
		}
		seen[address.Prefix.Addr()] = true
	}
	for _, r := range a.Routes {
		if !r.Dst.IsValid() || r.Gateway.IsValid() && r.Gateway.Is4() != r.Dst.Addr().Is4() {
			return BadConfig{Type: a.Spec.Type(), Field: "routes", Message: fmt.Sprintf("route to %s via %s is not valid", r.Dst, r.Gateway)}
		}
	}
	return a.Spec.check(a)
}

// defaults are the two destinations of default routes.
var defaults = [2]netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)}

func family(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

// planRoutes gives every destination to one interface: default routes to their owner, others to the first that has them, as the
// reference plugins do, with a word to the user.
func planRoutes(jobs []*job) error {
	owner, err := owners(jobs)
	if err != nil {
		return err
	}
	type key struct {
		dst             netip.Prefix
		table, priority int
	}
	taken := map[key]*job{}
	for _, j := range jobs {
		for _, r := range j.wanted(owner) {
			k := key{r.Dst, r.Table, r.Priority}
			if r.Table == 0 && r.Priority == 0 && slices.Contains(j.Leave, r.Dst) {
				j.warnings = append(j.warnings, fmt.Sprintf("route to %s left out: another interface has it", r.Dst))
				continue
			}
			if first := taken[k]; first != nil {
				if first != j {
					j.warnings = append(j.warnings, fmt.Sprintf("route to %s left out: interface %s has it", r.Dst, first.IfName))
				}
				continue
			}
			taken[k] = j
			j.routes = append(j.routes, r)
		}
	}
	return nil
}

// owners finds who has the default route of each family: who was told to, else the first with a route to everywhere.
func owners(jobs []*job) (owner [2]*job, err error) {
	for _, j := range jobs {
		for _, gw := range j.DefaultRoute {
			f := family(gw)
			if !gw.IsValid() {
				return owner, BadConfig{Type: j.Spec.Type(), Field: "default-route", Message: "a gateway is not valid"}
			}
			if owner[f] != nil {
				return owner, BadConfig{Type: j.Spec.Type(), Field: "default-route",
					Message: fmt.Sprintf("%s and %s are both to be the way out, there is one default route per family", owner[f].IfName, j.IfName),
					Hint:    "ask for default-route on one network only, with one gateway per family"}
			}
			if !j.reaches(gw) {
				return owner, BadConfig{Type: j.Spec.Type(), Field: "default-route",
					Message: fmt.Sprintf("gateway %s is in no subnet of interface %s", gw, j.IfName),
					Hint:    "name a gateway inside the network's subnet"}
			}
			owner[f] = j
		}
	}
	for _, j := range jobs {
		for _, r := range j.Routes {
			if f := family(r.Dst.Addr()); r.Dst.Bits() == 0 && r.Table == 0 && owner[f] == nil {
				owner[f] = j
			}
		}
	}
	return owner, nil
}

// reaches tells whether an interface can send to a gateway directly.
func (j *job) reaches(gw netip.Addr) bool {
	if j.Spec.routed() || gw.IsLinkLocalUnicast() {
		return true
	}
	for _, a := range j.Addresses {
		if a.Prefix.Contains(gw) {
			return true
		}
	}
	return false
}

// wanted is the list of an interface's routes with all gateways filled in.
func (j *job) wanted(owner [2]*job) []Route {
	all := j.Spec.ownRoutes(j.Attachment)
	told := [2]bool{}
	for _, gw := range j.DefaultRoute {
		told[family(gw)] = true
		all = append(all, j.tuned(Route{Dst: defaults[family(gw)], Gateway: gw}))
	}
	for _, r := range j.Routes {
		f := family(r.Dst.Addr())
		isDefault := r.Dst.Bits() == 0 && (r.Table == 0 || r.Table == 254)
		if isDefault && (told[f] || owner[f] != j) {
			continue
		}
		r.Dst = r.Dst.Masked()
		if !r.Gateway.IsValid() && (r.Scope == nil || *r.Scope < scopeLink) {
			if !isDefault && j.connected(r.Dst) {
				continue // the address brings this one along
			}
			r.Gateway = j.natural(f)
		}
		all = append(all, r)
	}
	return all
}

// scopeLink is RT_SCOPE_LINK: a destination on the segment itself.
const scopeLink = 253

// tuned copies metrics that the configuration gives for the default route.
func (j *job) tuned(r Route) Route {
	for _, own := range j.Routes {
		if own.Dst == r.Dst && own.Table == 0 {
			r.MTU, r.AdvMSS, r.Priority = own.MTU, own.AdvMSS, own.Priority
		}
	}
	return r
}

// connected tells whether an address of the interface has dst as its subnet.
func (j *job) connected(dst netip.Prefix) bool {
	for _, a := range j.Addresses {
		if a.Prefix.Masked() == dst {
			return true
		}
	}
	return false
}

// natural is the gateway of a family that a route without one means; invalid for on-link.
func (j *job) natural(f int) netip.Addr {
	for _, gw := range j.Spec.DefaultGateways(j.Addresses) {
		if family(gw) == f {
			return gw
		}
	}
	return netip.Addr{}
}

// hostMAC is the hardware address of a bridge port's end on the node.
func hostMAC(containerID, ifName string) net.HardwareAddr {
	return keyMAC(containerID, ifName+"\x00host")
}
