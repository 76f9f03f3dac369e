package cluster

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"github.com/tsunagu-net/tsunagu/lab/plan"
	"github.com/tsunagu-net/tsunagu/lab/supervise"
)

// vipProxyPort is where tsunagu-vip leads a node's programs to an API server.
const vipProxyPort = "7443"

// chooseVIP makes the address for the control plane the endpoint of all.
func (o *Options) chooseVIP() error {
	if o.VIP == "" {
		return nil
	}
	p, err := plan.New(o.Name, o.Family)
	if err != nil {
		return err
	}
	if o.VIP == "auto" {
		o.VIP = p.VIP()[0].String()
	}
	a, err := netip.ParseAddr(o.VIP)
	if err != nil {
		return fmt.Errorf("control-plane address %q: want an IP address, or auto", o.VIP)
	}
	inside := slices.ContainsFunc(p.NodeSubnets(), func(s netip.Prefix) bool { return s.Contains(a) })
	last := a.As16()[15]
	if !inside || last <= byte(plan.MaxNodes+10) && !slices.Contains(p.VIP(), a) {
		return fmt.Errorf("control-plane address %s: want one of the nodes' segment that no node can have, such as %s", a, p.VIP()[0])
	}
	if o.Endpoint != "" {
		return fmt.Errorf("control-plane address %s beside an endpoint of its own, %s: want one of them", a, o.Endpoint)
	}
	return nil
}

// endpoint is where nodes reach the API servers, "" for directly.
func (o Options) endpoint() string {
	if o.VIP != "" {
		return net.JoinHostPort(o.VIP, apiPort)
	}
	return o.Endpoint
}

// vipProgram is built by the product's own make.
func (o Options) vipProgram() string {
	return filepath.Join(filepath.Dir(o.Source), "bin", "tsunagu-vip")
}

func (o Options) checkVIPProgram() error {
	if o.VIP == "" {
		return nil
	}
	if _, err := os.Stat(o.vipProgram()); err != nil {
		return fmt.Errorf("the control plane's address is kept by %s: build it with make build: %w", o.vipProgram(), err)
	}
	return nil
}

// vipComponents renders tsunagu-vip, which is started before everything else.
func vipComponents(s state, n Node) []supervise.Component {
	if s.Options.VIP == "" {
		return nil
	}
	argv := []string{s.Options.vipProgram(), "--proxy=127.0.0.1:" + vipProxyPort}
	if n.ControlPlane {
		argv = append(argv, "--address="+s.Options.VIP, "--interface="+string(plan.Eth0), "--key-file="+pkiDir+"/sa.key",
			"--first="+s.controlPlanes()[0].Addresses[0].Addr().String())
	} else {
		argv = append(argv, "--servers="+s.Options.VIP)
	}
	return []supervise.Component{{Name: "tsunagu-vip", Argv: argv}}
}
