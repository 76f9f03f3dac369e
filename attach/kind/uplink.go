package kind

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/near"
)

// uplink finds an interface of the node; "" means the one with the default route.
func (t *transaction) uplink(typ, name string) (link.Link, error) {
	if name == "" {
		return t.defaultUplink(typ)
	}
	l, err := t.node.ByName(name)
	if link.Missing(err) {
		return l, t.noUplink(typ, name)
	}
	return l, err
}

// defaultUplink is the interface of the default route with the least metric, IPv4 before IPv6.
func (t *transaction) defaultUplink(typ string) (link.Link, error) {
	routes, err := t.node.Routes()
	if err != nil {
		return link.Link{}, err
	}
	routes = slices.DeleteFunc(routes, func(r link.Route) bool { return !r.IsDefault() || !r.InMain() || r.Index == 0 })
	if len(routes) == 0 {
		return link.Link{}, t.noUplink(typ, "")
	}
	best := slices.MinFunc(routes, func(a, b link.Route) int {
		return cmp.Or(cmp.Compare(family(a.Dst.Addr()), family(b.Dst.Addr())), cmp.Compare(a.Priority, b.Priority))
	})
	return t.node.ByIndex(best.Index)
}

// noUplink is the error for a name the node does not have, with the names it has.
func (t *transaction) noUplink(typ, name string) error {
	links, err := t.node.Links()
	if err != nil {
		return err
	}
	var have []string
	for _, l := range links {
		if !l.Loopback && !isHostName(l.Name) {
			have = append(have, l.Name)
		}
	}
	slices.Sort(have)
	slices.SortStableFunc(have, func(a, b string) int { return cmp.Compare(near.Distance(name, a), near.Distance(name, b)) })
	return NoUplink{Type: typ, Name: name, Have: have}
}

// neededByNode says why the node cannot do without an interface; "" when it can.
func (t *transaction) neededByNode(l link.Link) (string, error) {
	routes, err := t.node.Routes()
	if err != nil {
		return "", err
	}
	for _, r := range routes {
		if r.IsDefault() && r.Index == l.Index {
			return "carries the node's default route", nil
		}
	}
	addresses, err := t.node.AddressesOf(l.Index)
	if err != nil {
		return "", err
	}
	for _, a := range addresses {
		if !a.Prefix.Addr().IsLinkLocalUnicast() {
			return fmt.Sprintf("carries the node's address %s", a.Prefix), nil
		}
	}
	return "", nil
}

// nameOf is the name of an interface of the node, for errors.
func (t *transaction) nameOf(index int) string {
	l, err := t.node.ByIndex(index)
	if err != nil {
		return fmt.Sprintf("interface %d", index)
	}
	return l.Name
}

// isHostName tells whether a name is of the form that HostName gives.
func isHostName(s string) bool {
	digits, ok := strings.CutPrefix(s, "tsu")
	return ok && len(digits) == 11 && strings.Trim(digits, "0123456789abcdef") == ""
}
