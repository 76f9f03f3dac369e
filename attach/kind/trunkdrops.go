package kind

import (
	"strconv"

	"github.com/tsunagu-net/tsunagu/kernel/link"
)

// VLANDrops is a number of frames that were dropped at a VLAN of a trunk.
type VLANDrops struct {
	Trunk string
	VLAN  int
	// Port is the node's end of the Pod's interface that sent them; "" when they came in by the trunk.
	Port   string
	Reason string
	Frames uint64
}

// VLANDrops counts what was dropped at the VLANs of this node since their ports are there.
func (w *Wirer) VLANDrops() ([]VLANDrops, error) {
	w.switching.Lock()
	sw := w.vlans
	w.switching.Unlock()
	if sw == nil {
		return nil, nil // no VLAN was wired or mended yet
	}
	counted, err := sw.Drops()
	if err != nil || len(counted) == 0 {
		return nil, err
	}
	node, err := w.borrow()
	if err != nil {
		return nil, err
	}
	defer w.giveIdle(node)
	links, err := node.Links()
	if err != nil {
		return nil, err
	}
	all := make([]VLANDrops, 0, len(counted))
	for _, d := range counted {
		all = append(all, VLANDrops{Trunk: linkName(links, d.Trunk), VLAN: d.VLAN, Port: linkName(links, d.Port), Reason: string(d.Reason), Frames: d.Frames})
	}
	return all, nil
}

// linkName is the name of an interface, its index when it has gone, "" for none.
func linkName(links []link.Link, index int) string {
	if index == 0 {
		return ""
	}
	for _, l := range links {
		if l.Index == index {
			return l.Name
		}
	}
	return strconv.Itoa(index)
}
