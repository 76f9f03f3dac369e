package kind

import (
	"fmt"
	"reflect"

	"github.com/tsunagu-net/tsunagu/kernel/link"
)

// comparePort finds the first difference of a port of a bridge. Records of earlier versions say nothing about it.
func (w *Wirer) comparePort(node *link.Conn, r Record, end, br link.Link) error {
	if r.Port == nil {
		return nil
	}
	differs := func(what string, want, have any) error {
		return Mismatch{IfName: r.IfName, What: what + " of the node's end " + r.HostIf, Want: fmt.Sprint(want), Have: fmt.Sprint(have)}
	}
	switch {
	case end.Port.Hairpin != r.Port.Hairpin:
		return differs("hairpin mode", r.Port.Hairpin, end.Port.Hairpin)
	case end.Port.Isolated != r.Port.Isolated:
		return differs("isolation", r.Port.Isolated, end.Port.Isolated)
	}
	if r.Port.VLANs != nil {
		if !br.FiltersVLANs {
			return Mismatch{IfName: r.IfName, What: "bridge " + br.Name, Want: "filtering VLANs", Have: "not filtering them"}
		}
		all, err := node.VLANsOfPorts()
		if err != nil {
			return err
		}
		if have := all[end.Index]; !reflect.DeepEqual(have, *r.Port.VLANs) {
			return differs("VLANs", describeVLANs(*r.Port.VLANs), describeVLANs(have))
		}
	}
	if !r.Port.Guarded {
		return nil
	}
	allowed, err := w.guard.Allowed()
	if err != nil {
		return err
	}
	if have := allowed[r.HostIf]; have.String() != r.MAC {
		return differs("MAC spoof check", r.MAC, have)
	}
	return nil
}

func describeVLANs(v link.PortVLANs) string {
	return fmt.Sprintf("native %d, bare %v, tagged %v", v.Native, v.Bare, v.Tagged)
}
