package attach

import (
	"encoding/json"
	"fmt"

	types100 "github.com/containernetworking/cni/pkg/types/100"

	"github.com/tsunagu-net/tsunagu/ipam"
)

// networkStatus is one entry of the Pod's network-status (Multi-Net spec 1.3 section 5.1), with the fields in the order that the
// published client library writes.
type networkStatus struct {
	Name      string   `json:"name"`
	Interface string   `json:"interface,omitempty"`
	IPs       []string `json:"ips,omitempty"`
	MAC       string   `json:"mac,omitempty"`
	MTU       int      `json:"mtu,omitempty"`
	Default   bool     `json:"default,omitempty"`
	DNS       ipam.DNS `json:"dns"`
	// DeviceInfo is as the plugin, or the device plugin, wrote it.
	DeviceInfo json.RawMessage `json:"device-info,omitempty"`
	Gateway    []string        `json:"gateway,omitempty"`
}

// statusOf renders the network-status of a sandbox: the pod network first, under the name of the CNI configuration, then the others
// in the annotation's order.
func statusOf(record Record) (string, error) {
	var entries []networkStatus
	for i, w := range record.Interfaces {
		e := networkStatus{Name: w.Network, Interface: w.IfName, MAC: w.MAC, MTU: w.MTU, Default: i == 0, DNS: record.DNS[w.IfName], DeviceInfo: record.DeviceInfo[w.IfName]}
		chain := record.Chains[w.IfName]
		if chain.Device != nil {
			e.DeviceInfo = chain.Device
		}
		result := chain.result()
		if result != nil && e.DNS.Empty() {
			e.DNS = ipam.DNS{Nameservers: result.DNS.Nameservers, Domain: result.DNS.Domain, Search: result.DNS.Search, Options: result.DNS.Options}
		}
		for _, a := range w.Addresses {
			e.IPs = append(e.IPs, a.Prefix.Addr().String())
		}
		for _, r := range w.Routes {
			if r.Dst.Bits() == 0 && r.Gateway.IsValid() && r.Table == 0 {
				e.Gateway = append(e.Gateway, r.Gateway.String())
			}
		}
		entries = append(entries, e)
		entries = append(entries, more(e, result)...)
	}
	raw, err := json.MarshalIndent(entries, "", "    ")
	if err != nil {
		return "", fmt.Errorf("render the network-status: %w", err)
	}
	return string(raw), nil
}

// more are the entries of other interfaces that one plugin made in the Pod.
func more(first networkStatus, r *types100.Result) []networkStatus {
	var entries []networkStatus
	if r == nil {
		return nil
	}
	for i, one := range r.Interfaces {
		if one.Sandbox == "" || one.Name == first.Interface {
			continue
		}
		e := networkStatus{Name: first.Name, Interface: one.Name, MAC: one.Mac, MTU: one.Mtu, DNS: first.DNS}
		for _, ip := range r.IPs {
			if ip.Interface != nil && *ip.Interface == i {
				e.IPs = append(e.IPs, ip.Address.IP.String())
			}
		}
		entries = append(entries, e)
	}
	return entries
}
