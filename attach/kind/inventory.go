package kind

import (
	"context"
	"os"
	"path/filepath"
	"slices"

	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// Found is a sandbox of this node with interfaces of ours, found without any record.
type Found struct {
	Path string
	ID   netns.ID
	// Interfaces have their names and addresses only.
	Interfaces []Wired
}

// Inventory looks through the named namespaces of the machine for sandboxes of this node: those with an end of a veth whose other end is
// here and has the route to it. It is for a start without records, and takes some milliseconds for each sandbox.
func (w *Wirer) Inventory(ctx context.Context) ([]Found, error) {
	node, err := w.borrow()
	if err != nil {
		return nil, err
	}
	defer w.giveIdle(node)
	here, err := look(node)
	if err != nil {
		return nil, err
	}
	names, err := os.ReadDir(netns.Dir)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []Found
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if f, ok := w.inspect(filepath.Join(netns.Dir, name.Name()), here); ok {
			all = append(all, f)
		}
	}
	return all, nil
}

// inspect looks at one namespace. One that cannot be entered is gone, or none.
func (w *Wirer) inspect(path string, here view) (f Found, ok bool) {
	ns, err := w.sandbox(path)
	if err != nil {
		return f, false
	}
	defer ns.Close()
	c, err := link.Dial(ns)
	if err != nil {
		return f, false
	}
	defer c.Close()
	inside, err := look(c)
	if err != nil {
		return f, false
	}
	// Elsewhere on the machine may be a node with interfaces of the same numbers and addresses (a lab, a container with an agent of its own).
	number, err := c.NumberOf(w.node)
	if err != nil {
		return f, false
	}
	f = Found{Path: path, ID: ns.ID()}
	for _, l := range inside.links {
		_, _, taken := takenDevice(l)
		if l.Group != link.Group && !taken {
			continue
		}
		one := Wired{IfName: l.Name, IfIndex: l.Index, MAC: l.MAC.String()}
		for _, a := range inside.addresses {
			if a.Index == l.Index && !a.Prefix.Addr().IsLinkLocalUnicast() {
				one.Addresses = append(one.Addresses, Address{Prefix: a.Prefix})
			}
		}
		f.Interfaces = append(f.Interfaces, one)
		ok = ok || number >= 0 && l.ParentSpace == number && here.leadsTo(l, one)
	}
	return f, ok
}

// leadsTo tells whether the node has the other end of a Pod's interface.
func (v view) leadsTo(inside link.Link, w Wired) bool {
	for _, l := range v.links {
		if !isHostName(l.Name) || l.Index != inside.Parent || l.Parent != inside.Index {
			continue
		}
		for _, a := range w.Addresses {
			if slices.ContainsFunc(v.routes, func(r link.Route) bool { return r.Index == l.Index && r.Dst == host(a.Prefix) }) {
				return true
			}
		}
	}
	return false
}
