package kind

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strconv"

	"github.com/tsunagu-net/tsunagu/kernel/link"
)

// Check compares the interfaces of a sandbox with their records; the first difference is returned as Mismatch. What the Pod has
// beyond its records is its own business.
func (w *Wirer) Check(ctx context.Context, nsPath string, records []Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ns, err := w.sandbox(nsPath)
	if err != nil {
		return err
	}
	defer ns.Close()
	pod, err := link.Dial(ns)
	if err != nil {
		return err
	}
	defer pod.Close()
	node, err := w.borrow()
	if err != nil {
		return err
	}
	defer w.giveIdle(node)
	return w.compare(pod, node, native(records))
}

// view is what a namespace has.
type view struct {
	links     []link.Link
	addresses []link.Address
	routes    []link.Route
}

func look(c *link.Conn) (v view, err error) {
	var failed [3]error
	v.links, failed[0] = c.Links()
	v.addresses, failed[1] = c.Addresses()
	v.routes, failed[2] = c.Routes()
	return v, errors.Join(failed[:]...)
}

func (w *Wirer) compare(pod, node *link.Conn, records []Record) error {
	inside, err := look(pod)
	if err != nil {
		return err
	}
	for _, r := range records {
		if err := w.compareFunction(node, r); err != nil {
			return err
		}
		if r.Userspace {
			continue
		}
		if err := inside.compare(r); err != nil {
			return err
		}
		if err := w.compareNode(node, r); err != nil {
			return err
		}
		if err := inside.compareMaster(node, r); err != nil {
			return err
		}
	}
	return nil
}

// compare finds the first difference inside the Pod.
func (v view) compare(r Record) error {
	var l link.Link
	for _, have := range v.links {
		if have.Name == r.IfName {
			l = have
		}
	}
	differs := func(what, want, have string) error {
		return Mismatch{IfName: r.IfName, What: what, Want: want, Have: have}
	}
	switch {
	case l.Index == 0:
		return differs("the interface", "present", "missing")
	case r.MAC != "" && l.MAC.String() != r.MAC:
		return differs("the MAC", r.MAC, l.MAC.String())
	case r.MTU != 0 && l.MTU != r.MTU:
		return differs("the MTU", strconv.Itoa(r.MTU), strconv.Itoa(l.MTU))
	case !l.Up && !r.Down:
		return differs("the state", "up", "down")
	case r.Kind != "" && l.Kind != r.Kind:
		return differs("the kind of link", r.Kind, l.Kind)
	case r.Mode != "" && l.Mode != r.Mode:
		return differs("the mode", r.Mode, l.Mode)
	case r.VLAN != 0 && int(l.VLAN) != r.VLAN:
		return differs("the VLAN", strconv.Itoa(r.VLAN), strconv.Itoa(int(l.VLAN)))
	case r.Tap != nil && !reflect.DeepEqual(r.Tap, l.Tap):
		return differs("the tap", describeTap(r.Tap), describeTap(l.Tap))
	}
	if err := v.compareBelow(r, l); err != nil {
		return err
	}
	for _, a := range r.Addresses {
		if !v.hasAddress(l.Index, a.Prefix) {
			return differs("address "+a.Prefix.String(), "present", "missing")
		}
	}
	for _, want := range r.Routes {
		if have, ok := v.hasRoute(l.Index, want); !ok {
			return differs("the route to "+want.Dst.String(), routeText(want.Gateway), have)
		}
	}
	return nil
}

// compareMaster finds the interface of the node that one of the Pod stands on.
func (v view) compareMaster(node *link.Conn, r Record) error {
	if r.Master == "" {
		return nil
	}
	master, err := node.ByName(r.Master)
	if link.Missing(err) {
		return Mismatch{IfName: r.IfName, What: "master " + r.Master, Want: "present", Have: "missing"}
	}
	if err != nil {
		return err
	}
	for _, l := range v.links {
		if l.Name == r.IfName && l.Parent != master.Index {
			return Mismatch{IfName: r.IfName, What: "master", Want: r.Master, Have: "another"}
		}
	}
	return nil
}

// compareBelow finds the interface of the Pod that another stands on, or belongs to.
func (v view) compareBelow(r Record, l link.Link) error {
	if r.Below == "" {
		return nil
	}
	for _, have := range v.links {
		if have.Name == r.Below && (have.Index == l.Parent || have.Index == l.Master) {
			return nil
		}
	}
	return Mismatch{IfName: r.IfName, What: "the link below", Want: r.Below, Have: "another"}
}

func describeTap(t *link.TapInfo) string {
	if t == nil {
		return "none"
	}
	id := func(n *uint32) string {
		if n == nil {
			return "anybody"
		}
		return strconv.FormatUint(uint64(*n), 10)
	}
	return fmt.Sprintf("of user %s, group %s, many queues %v", id(t.Owner), id(t.Group), t.MultiQueue)
}

func (v view) hasAddress(index int, p netip.Prefix) bool {
	for _, a := range v.addresses {
		if a.Index == index && a.Prefix == p {
			return true
		}
	}
	return false
}

// hasRoute looks for a route; when it is another it says how that one is.
func (v view) hasRoute(index int, want Route) (have string, ok bool) {
	have = "missing"
	table := want.Table
	if table == 0 {
		table = 254
	}
	for _, r := range v.routes {
		if r.Dst != want.Dst || r.Table != table || want.Priority != 0 && r.Priority != want.Priority {
			continue
		}
		switch {
		case r.Index != index:
			have = "on another interface"
		case r.Gateway != want.Gateway:
			have = routeText(r.Gateway)
		default:
			return "", true
		}
	}
	return have, false
}

func routeText(gw netip.Addr) string {
	if gw.IsValid() {
		return "via " + gw.String()
	}
	return "on-link"
}

// compareNode finds the first difference on the node.
func (w *Wirer) compareNode(node *link.Conn, r Record) error {
	if r.HostIf == "" {
		return nil
	}
	differs := func(what, want, have string) error {
		return Mismatch{IfName: r.IfName, What: what, Want: want, Have: have}
	}
	end, err := node.ByName(r.HostIf)
	if link.Missing(err) {
		return differs("the node's end "+r.HostIf, "present", "missing")
	}
	if err != nil {
		return err
	}
	if !end.Up {
		return differs("the node's end "+r.HostIf, "up", "down")
	}
	if err := w.compareTrunk(node, r, end); err != nil {
		return err
	}
	if r.OVS != nil {
		return r.comparePlug()
	}
	if r.Bridge != "" {
		br, err := node.ByName(r.Bridge)
		if link.Missing(err) {
			return differs("bridge "+r.Bridge, "present", "missing")
		}
		if err == nil && end.Master != br.Index {
			return differs("the node's end "+r.HostIf, "a port of "+r.Bridge, "not on it")
		}
		if err != nil {
			return err
		}
		return w.comparePort(node, r, end, br)
	}
	routes, err := node.RoutesOf(end.Index)
	if err != nil {
		return err
	}
	for _, dst := range r.HostRoutes {
		v := view{routes: routes}
		if have, ok := v.hasRoute(end.Index, Route{Dst: dst}); !ok {
			return differs("the node's route to "+dst.String(), "present", have)
		}
	}
	return nil
}
