package kind

import (
	"fmt"

	"github.com/tsunagu-net/tsunagu/kernel/link"
)

// Below is the link that an interface of kind macvlan, ipvlan or vlan stands on.
type Below struct {
	// Master is its name; "" means the one with the default route.
	Master string
	// InPod looks for it among the Pod's interfaces rather than the node's (linkInContainer).
	InPod bool
	// MTU in bytes of the new interface, 0 for that of the link below.
	MTU int
}

func parseBelow(f *fields) Below {
	return Below{Master: f.device("master"), InPod: f.flag("linkInContainer"), MTU: f.mtu()}
}

// segment names what the interface is attached to; one inside the Pod is nobody else's.
func (b Below) segment(typ, suffix string) string {
	if b.InPod {
		return ""
	}
	return typ + "/" + b.Master + suffix
}

// find looks the link up on the node. One that is down is set up: it has nobody else who would.
func (b Below) find(t *transaction, j *job) error {
	if b.InPod {
		return nil // stack does, when the Pod has its other interfaces
	}
	uplink, err := t.uplink(j.Spec.Type(), b.Master)
	if err != nil {
		return err
	}
	return b.take(t, j, t.node, uplink)
}

// take makes a link that was found the one below.
func (b Below) take(t *transaction, j *job, at *link.Conn, l link.Link) error {
	typ := j.Spec.Type()
	if l.Master != 0 && !b.InPod {
		return DeviceBusy{Type: typ, Device: l.Name, Why: "belongs to " + t.nameOf(l.Master) + ", which takes all its packets"}
	}
	if l.Loopback {
		return DeviceBusy{Type: typ, Device: l.Name, Why: "is the loopback interface"}
	}
	if j.mtu > l.MTU {
		return BadConfig{Type: typ, Field: "mtu", Message: fmt.Sprintf("%d is more than the %d of %s", j.mtu, l.MTU, l.Name)}
	}
	j.below = l
	if l.Up {
		return nil
	}
	if !b.InPod {
		j.warnings = append(j.warnings, fmt.Sprintf("uplink %s was down and has been set up", l.Name))
	}
	return at.Apply(link.Up(l.Name, l.Index))
}

// end is the new interface. On the node it goes by another name for a moment when the node has one of the wanted name.
func (b Below) end(t *transaction, j *job) link.End {
	e := link.End{Name: j.IfName, MAC: j.mac, MTU: j.mtu, Group: link.Group}
	if b.InPod {
		return e
	}
	e.NS = t.ns
	if j.renamed {
		e.Name, e.Down = j.hostIf, true // kernels before 6.2 do not rename what is up
	}
	return e
}

func (b Below) record(j *job, w *Wired) {
	w.Kind = j.Spec.Type()
	if b.InPod {
		w.Below = j.below.Name
	} else {
		w.Master = j.below.Name
	}
}

// stack makes the interfaces that stand on others of the Pod, one after another in the order of the attachments: each may stand on the
// one before.
func (t *transaction) stack() error {
	for _, j := range t.jobs {
		if !j.Spec.stacked() {
			continue
		}
		if on, ok := j.Spec.(standing); ok {
			l, err := t.lower(j.Spec.Type(), on.standsOn().Master)
			if err == nil {
				err = on.standsOn().take(t, j, t.pod, l)
			}
			if err != nil {
				return j.blame(err)
			}
		}
		if err := t.make(t.pod, []*job{j}); err != nil {
			return j.blame(err)
		}
	}
	return nil
}

// standing is a Spec whose interface stands on another.
type standing interface{ standsOn() Below }

// lower finds an interface of the Pod; "" means the one with the default route, or the one that is about to get it.
func (t *transaction) lower(typ, name string) (link.Link, error) {
	links, err := t.pod.Links()
	if err != nil {
		return link.Link{}, err
	}
	index := 0
	if name == "" {
		for _, j := range t.jobs {
			if len(j.DefaultRoute) > 0 {
				name = j.IfName
				break
			}
		}
	}
	if name == "" {
		routes, err := t.pod.Routes()
		if err != nil {
			return link.Link{}, err
		}
		for _, r := range routes {
			if r.IsDefault() && r.InMain() {
				index = r.Index
			}
		}
	}
	var have []string
	for _, l := range links {
		if l.Name == name || index != 0 && l.Index == index {
			return l, nil
		}
		if !l.Loopback {
			have = append(have, l.Name)
		}
	}
	return link.Link{}, NoLower{Type: typ, Name: name, Have: have}
}
