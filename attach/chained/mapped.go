package chained

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tsunagu-net/tsunagu/attach/hostport"
	"github.com/tsunagu-net/tsunagu/attach/kind"
	"github.com/tsunagu-net/tsunagu/kernel/nft"
	"github.com/tsunagu-net/tsunagu/kernel/route"
)

// PortTaken refuses a port of the node that another Pod has.
type PortTaken struct{ Port, Holder string }

func (e PortTaken) Error() string {
	return fmt.Sprintf("portmap: host port %s belongs to the interface %s of another sandbox", e.Port, e.Holder)
}

// Reason is a word for Events.
func (PortTaken) Reason() string { return "HostPortTaken" }

// Fix is what a user can do.
func (PortTaken) Fix() string {
	return `use another hostPort in the annotation, or wait until the other Pod is gone`
}

// key is whose rules are: long enough to be one of a kind, short enough for a comment.
func (c Call) key() string { return c.ContainerID[:min(24, len(c.ContainerID))] + "/" + c.IfName }

// mapPorts writes the rules of the Pod's ports.
func (r *Runner) mapPorts(c Call, p PortMap) (json.RawMessage, error) {
	if len(c.Runtime.PortMappings) == 0 {
		return nil, nil
	}
	all := p.forwards(c)
	if len(all) == 0 {
		return nil, kind.BadConfig{Type: "portmap", Field: "runtimeConfig.portMappings", Message: fmt.Sprintf("%s has no address that a port could lead to", c.IfName),
			Hint: "give the first plugin of the list an ipam of the hostIP's family"}
	}
	var devices []string
	if end := c.nodeEnd(); p.SNAT && end != "" && all[0].To.Addr().Is4() {
		devices = []string{end}
	}
	err := r.forwards().Set(c.key(), all, devices)
	if taken, ok := errors.AsType[nft.Taken](err); ok {
		port := fmt.Sprintf("%s/%s", taken.At, hostport.Protocol(taken.Protocol))
		return nil, PortTaken{Port: port, Holder: taken.Holder}
	}
	if err != nil {
		return nil, err
	}
	for _, d := range devices { // replies to 127.0.0.1
		if err := route.SysctlsOf(r.Node).Write("ipv4/conf/"+d+"/route_localnet", "1"); err != nil {
			return nil, errors.Join(err, r.forwards().Delete(c.key()))
		}
	}
	r.forgetFlows(all)
	return nil, nil
}

// nodeEnd is the node's interface by which it reaches the Pod; "" when the node has none of its own.
func (c Call) nodeEnd() string {
	if c.Wired.Bridge != "" && c.Wired.Type == "bridge" {
		return c.Wired.Bridge
	}
	return c.Wired.HostIf
}

func (r *Runner) forwards() *nft.Forwards {
	r.once.Do(func() { r.ports = &nft.Forwards{NS: r.Node} })
	return r.ports
}

// forgetFlows has flows over UDP that began before a port led to the Pod find their way anew.
func (r *Runner) forgetFlows(all []nft.Forward) {
	udp := map[uint16]bool{}
	for _, f := range all {
		if hostport.Protocol(f.Protocol) == hostport.UDP {
			udp[f.At.Port()] = true
		}
	}
	if len(udp) == 0 {
		return
	}
	// Without it they go on as they were until they are quiet for a while.
	_, _ = nft.Open(r.Node, nft.Options{}).DeleteFlows(func(f nft.Flow) bool {
		return hostport.Protocol(f.Protocol) == hostport.UDP && udp[f.To.Port()] && f.ReplyFrom == f.To
	})
}

// unmapPorts deletes the rules.
func (r *Runner) unmapPorts(c Call) error { return r.forwards().Delete(c.key()) }

func (r *Runner) checkPorts(c Call, p PortMap) error {
	have, err := r.forwards().Ports(c.key())
	if err != nil {
		return err
	}
	for _, f := range p.forwards(c) {
		if !f.Within(have) {
			return kind.Mismatch{IfName: c.IfName, What: fmt.Sprintf("host port %s/%s", f.At, hostport.Protocol(f.Protocol)), Want: "to " + f.To.String(), Have: "missing"}
		}
	}
	return nil
}
