package overlay

import (
	"context"

	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
	"github.com/tsunagu-net/tsunagu/kernel/route"
)

// kernel is what the overlay reads and changes of the node.
type kernel struct {
	links   *link.Conn
	routes  *route.Conn
	sysctls route.Sysctls
}

func open(ns *netns.Namespace) (k kernel, err error) {
	if ns == nil {
		k.links, err = link.DialHere()
	} else {
		k.links, err = link.Dial(ns)
	}
	if err != nil {
		return k, err
	}
	if k.routes, err = route.Dial(ns); err != nil {
		k.links.Close()
		return k, err
	}
	k.sysctls = route.SysctlsOf(ns)
	return k, nil
}

func (k kernel) close() {
	k.routes.Close()
	k.links.Close()
}

// observe reads the whole state, or fails.
func (k kernel) observe(_ context.Context, port int) (*state, error) {
	s := &state{defaults: map[bool]int{}}
	var err error
	if s.links, err = k.links.Links(); err != nil {
		return nil, err
	}
	if s.addresses, err = k.links.Addresses(); err != nil {
		return nil, err
	}
	if s.device, s.deviceFound, err = k.routes.Device(route.VXLAN{Name: Device, Port: port}); err != nil {
		return nil, err
	}
	all, err := k.routes.List()
	if err != nil {
		return nil, err
	}
	for _, r := range all {
		if !own(r, s.device.Index) {
			continue
		}
		if s.deviceFound && r.Device == s.device.Index {
			r.Device = tunnelDevice
		}
		s.routes = append(s.routes, r)
	}
	if s.interfaces6, err = k.sysctls.Interfaces("ipv6"); err != nil {
		return nil, err
	}
	s.sysctls, err = k.sysctls.Read(watched(s.interfaces6)...)
	return s, err
}

// observeDefaults adds the devices of the default routes. It reads all routes, and only a node whose address is on no interface of
// its own needs it.
func (k kernel) observeDefaults(s *state) error {
	routes, err := k.links.Routes()
	if err != nil {
		return err
	}
	best := map[bool]int{}
	for _, r := range routes {
		if !r.IsDefault() || !r.InMain() || r.Index == 0 {
			continue
		}
		v6 := r.Dst.Addr().Is6()
		if _, known := s.defaults[v6]; !known || r.Priority < best[v6] {
			s.defaults[v6], best[v6] = r.Index, r.Priority
		}
	}
	return nil
}
