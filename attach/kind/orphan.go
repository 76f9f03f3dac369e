package kind

import (
	"context"
	"errors"

	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/kernel/ovs"
)

// Orphan is something of ours on the node that no record owns.
type Orphan struct {
	// Device is the name of the link, Kind is "veth", "bridge", "ovs" (a port of the switch) or "host-device".
	Device, Kind string

	was    Device // of a host-device
	socket string // of the switch of a port
}

// Orphans lists our links on the node that none of the records owns: ends of veths, bridges of ours without a Pod, and host devices
// that came back from a Pod. Call it only with the complete set of records, and while nothing is being wired.
func (w *Wirer) Orphans(ctx context.Context, owned []Record) ([]Orphan, error) {
	if err := ctx.Err(); err != nil {
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
	have := map[string]bool{}
	for _, r := range owned {
		have[HostName(r.ContainerID, r.IfName)] = true
		have[r.Bridge] = true
	}
	used := map[int]bool{} // bridges with the port of a Pod, whoever owns that
	for _, l := range links {
		if isHostName(l.Name) {
			used[l.Master] = true
		}
	}
	var found []Orphan
	for _, l := range links {
		if hostIf, was, ok := takenDevice(l); ok {
			if !have[hostIf] || l.Name == was.Name || l.Name == hostIf {
				found = append(found, Orphan{Device: l.Name, Kind: "host-device", was: was})
			}
			continue
		}
		switch {
		case l.Kind == "veth" && (isHostName(l.Name) && !have[l.Name] || isGatewayPort(l.Name) && l.Master == 0):
			found = append(found, Orphan{Device: l.Name, Kind: "veth"})
		case l.Kind == "bridge" && l.Group == link.Group && !have[l.Name] && !used[l.Index]:
			found = append(found, Orphan{Device: l.Name, Kind: "bridge"})
		}
	}
	return append(found, strayPlugs(ctx, have, owned)...), nil
}

// Remove deletes orphans, or makes devices that came back from a Pod what they were. What is gone already is success.
func (w *Wirer) Remove(ctx context.Context, orphans []Orphan) error {
	node, err := w.borrow()
	if err != nil {
		return err
	}
	defer w.giveIdle(node)
	var bridges []string
	var failed error
	for _, o := range orphans {
		if err := ctx.Err(); err != nil {
			return errors.Join(failed, err)
		}
		switch o.Kind {
		case "veth":
			failed = errors.Join(failed, node.Apply(link.Delete(o.Device).Forgiving()))
		case "ovs":
			failed = errors.Join(failed, ovs.Switch{Socket: o.socket}.DeletePort(ctx, o.Device))
		case "bridge":
			bridges = append(bridges, o.Device)
		case "host-device":
			if err := w.restore(node, o.Device, o.was); !link.Missing(err) {
				failed = errors.Join(failed, err)
			}
		}
	}
	w.bridging.Lock()
	defer w.bridging.Unlock()
	return errors.Join(failed, w.dropBridges(node, bridges))
}
