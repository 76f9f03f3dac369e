package legacy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/tsunagu-net/tsunagu/ipam"
)

// dashes writes a range or address as whereabouts does in names: ':' and '/'
// become '-', and a text that ends in ':' gets a 0 behind it.
func dashes(text string) string {
	if strings.HasSuffix(text, ":") {
		text += "0"
	}
	return strings.NewReplacer(":", "-", "/", "-").Replace(text)
}

// PoolName is the name of the IPPool in which whereabouts counts a range, as of a range without slices of nodes.
func PoolName(networkName string, prefix netip.Prefix) string {
	return named(networkName, dashes(prefix.Masked().String()))
}

// ReservationName is the name of the OverlappingRangeIPReservation of an address.
func ReservationName(networkName string, x netip.Addr) string {
	return named(networkName, dashes(x.String()))
}

func named(networkName, what string) string {
	if networkName == "" {
		return what
	}
	return networkName + "-" + what
}

// networkName finds the network_name of a pool. Its name is
// [network_name-][node-]range, and neither part says where it ends, so what a
// pool may mean is held against the definitions and the slices there are.
func (r *reader) networkName(p IPPool, base netip.Prefix) (string, error) {
	for _, key := range []string{p.String(), p.Name} {
		if name, ok := r.Names[key]; ok {
			return name, nil
		}
	}
	prefix, ok := "", false
	for _, text := range []string{p.Spec.Range, base.String(), base.Masked().String()} {
		if prefix, ok = strings.CutSuffix(p.Name, dashes(text)); ok {
			break
		}
	}
	switch {
	case !ok:
		return "", fmt.Errorf("the name does not end with its range %s", p.Spec.Range)
	case prefix == "":
		return "", nil
	case !strings.HasSuffix(prefix, "-") || prefix == "-":
		return "", fmt.Errorf("the name does not end with its range %s behind a dash", p.Spec.Range)
	}
	return r.choose(strings.TrimSuffix(prefix, "-"), p.Spec.Range, base)
}

// choose decides what stands before the range: a network_name, a node, or both.
func (r *reader) choose(prefix, text string, base netip.Prefix) (string, error) {
	found := map[string]bool{}
	for _, n := range r.networks {
		if n.kind == ipam.TypeWhereabouts && n.networkName == prefix && !n.sliced && n.covers(base) {
			found[prefix] = true
		}
		for _, node := range r.Nodes {
			if n.kind == ipam.TypeWhereabouts && n.sliced && n.covers(base) && joined(n.networkName, node) == prefix {
				found[n.networkName] = true
			}
		}
	}
	for _, s := range r.Slices {
		for _, a := range s.Status.Allocations {
			if a.NodeName == "" || a.SliceRange != text {
				continue
			}
			switch prefix {
			case a.NodeName:
				found[""] = true
			case s.Name + "-" + a.NodeName:
				found[s.Name] = true
			}
		}
	}
	names := keys(found)
	slices.Sort(names)
	switch len(names) {
	case 1:
		return names[0], nil
	case 0:
		return "", fmt.Errorf("%q stands before the range, and no NetworkAttachmentDefinition or NodeSlicePool says whether it is a network_name or a node", prefix)
	}
	return "", fmt.Errorf("%q stands before the range, and it may be of any of the network_names %q", prefix, names)
}

func joined(networkName, node string) string {
	if networkName == "" {
		return node
	}
	return networkName + "-" + node
}
