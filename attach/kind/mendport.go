package kind

import (
	"bytes"
	"errors"
	"net"
	"reflect"
	"slices"

	"github.com/tsunagu-net/tsunagu/kernel/link"
)

// mendPorts puts back the guard and the VLANs of bridge ports that have lost them.
func (w *Wirer) mendPorts(node *link.Conn, links map[string]link.Link, owned []Record) error {
	ports := slices.DeleteFunc(slices.Clone(owned), func(r Record) bool {
		_, exists := links[r.HostIf]
		return !exists || r.Port == nil
	})
	var vlans map[int]link.PortVLANs
	var allowed map[string]net.HardwareAddr
	var failed error
	if slices.ContainsFunc(ports, func(r Record) bool { return r.Port.VLANs != nil }) {
		if vlans, failed = node.VLANsOfPorts(); failed != nil {
			return failed
		}
	}
	if slices.ContainsFunc(ports, func(r Record) bool { return r.Port.Guarded }) {
		if allowed, failed = w.guard.Allowed(); failed != nil {
			return failed
		}
	}
	for _, r := range ports {
		if end := links[r.HostIf]; r.Port.VLANs != nil {
			failed = errors.Join(failed, mendVLANs(node, end, vlans[end.Index], *r.Port.VLANs))
		}
		if mac, err := ParseMAC(r.MAC); r.Port.Guarded && err == nil && !bytes.Equal(allowed[r.HostIf], mac) {
			failed = errors.Join(failed, w.guard.Allow(r.HostIf, mac))
		}
	}
	return failed
}

// mendVLANs makes a port have these VLANs. What it has too many goes: it would lead the Pod into networks that are not its.
func mendVLANs(node *link.Conn, end link.Link, have, want link.PortVLANs) error {
	if reflect.DeepEqual(have, want) {
		return nil
	}
	var ops []link.Op
	for _, v := range slices.Concat(have.Bare, have.Tagged) {
		ops = append(ops, link.DeletePortVLANs(end.Name, end.Index, v).Forgiving())
	}
	for _, v := range want.Bare {
		as := link.Bare
		if v.From == want.Native {
			as = link.Native
		}
		ops = append(ops, link.AddPortVLANs(end.Name, end.Index, as, v))
	}
	if len(want.Tagged) > 0 {
		ops = append(ops, link.AddPortVLANs(end.Name, end.Index, link.Tagged, want.Tagged...))
	}
	return node.Apply(ops...)
}
