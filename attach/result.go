package attach

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"

	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"

	"github.com/tsunagu-net/tsunagu/attach/kind"
)

// result renders what the runtime is told of an ADD, in the version it speaks: the interface it asked for, with the node's end. The
// others are the Pod's business and stand in its network-status.
func result(version string, record Record) ([]byte, error) {
	w := record.Interfaces[0]
	r := resultOf(record.NetNS, w)
	if c, ok := record.Chains[w.IfName]; ok && c.result() != nil {
		r = c.result()
	}
	as, err := r.GetAsVersion(version)
	if err != nil {
		return nil, fmt.Errorf("render the result in CNI %s: %w", version, err)
	}
	raw, err := json.MarshalIndent(as, "", "    ")
	if err != nil {
		return nil, fmt.Errorf("render the result in CNI %s: %w", version, err)
	}
	return append(raw, '\n'), nil
}

// resultOf is an interface as the result of a plugin.
func resultOf(netns string, w kind.Wired) *types100.Result {
	r := &types100.Result{CNIVersion: types100.ImplementedSpecVersion}
	if w.HostIf != "" {
		r.Interfaces = append(r.Interfaces, &types100.Interface{Name: w.HostIf, Mac: w.HostMAC})
	}
	inside := len(r.Interfaces)
	r.Interfaces = append(r.Interfaces, &types100.Interface{Name: w.IfName, Mac: w.MAC, Mtu: w.MTU, Sandbox: netns})
	for _, a := range w.Addresses {
		ip := &types100.IPConfig{Interface: types100.Int(inside), Address: ipNet(a.Prefix)}
		if a.Gateway.IsValid() {
			ip.Gateway = a.Gateway.AsSlice()
		}
		r.IPs = append(r.IPs, ip)
	}
	for _, route := range w.Routes {
		to := &types.Route{Dst: ipNet(route.Dst.Masked()), MTU: route.MTU, AdvMSS: route.AdvMSS, Priority: route.Priority, Scope: route.Scope}
		if route.Gateway.IsValid() {
			to.GW = route.Gateway.AsSlice()
		}
		if route.Table != 0 {
			to.Table = &route.Table
		}
		r.Routes = append(r.Routes, to)
	}
	return r
}

func ipNet(p netip.Prefix) net.IPNet {
	return net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
