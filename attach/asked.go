package attach

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/tsunagu-net/tsunagu/attach/chained"
	"github.com/tsunagu-net/tsunagu/attach/delegate"
)

// runtime is what the Pod asks of built-in steps.
func (p planned) runtime() chained.Runtime {
	return chained.Runtime{MAC: p.sel.MAC, PortMappings: p.sel.Ports, Bandwidth: p.sel.Bandwidth}
}

// capable refuses what the Pod asks for and no plugin of the network declares to know: it must not run without (Multi-Net spec 1.3
// section 4.1.2).
func (p planned) capable() error {
	for _, one := range []struct {
		field, capability string
		asked             bool
	}{
		{"portMappings", "portMappings", len(p.sel.Ports) > 0}, {"bandwidth", "bandwidth", p.sel.Bandwidth != nil},
		{"infiniband-guid", "infinibandGUID", p.sel.GUID != ""},
	} {
		if one.asked && !p.net.declares(one.capability) {
			return refusef(ReasonUnsupportedField, fmt.Sprintf(`add "capabilities":{%q:true} to the plugin of the network that does it, or remove %q from the annotation`, one.capability, one.field),
				"annotation %s, element %d, %q: no plugin of network-attachment-definition %s declares the capability %q", SelectionAnnotation, p.sel.Index, one.field, p.net.Ref, one.capability)
		}
	}
	return nil
}

// pluginKeys are what stands in the configuration of every plugin of the network.
func (s Selection) pluginKeys() delegate.Asked {
	a := delegate.Asked{CNIArgs: s.CNIArgs}
	if s.DeviceID != "" {
		a.Keys = map[string]json.RawMessage{"deviceID": raw(s.DeviceID), "pciBusID": raw(s.DeviceID)}
	}
	return a
}

// asked is what the Pod asks of plugins of others. What it wants of addresses is said in CNI_ARGS and as capabilities, since plugins know
// one or the other.
func (p planned) asked(r *request, pod Pod) delegate.Asked {
	a := p.sel.pluginKeys()
	a.Path = strings.Split(r.Path, ":")
	uid := r.pod.UID
	if uid == "" {
		uid = pod.UID
	}
	a.Args = [][2]string{{"IgnoreUnknown", "true"}, {"K8S_POD_NAMESPACE", pod.Namespace}, {"K8S_POD_NAME", pod.Name},
		{"K8S_POD_INFRA_CONTAINER_ID", r.ContainerID}, {"K8S_POD_UID", uid}}
	a.Capabilities = map[string]json.RawMessage{}
	if p.sel.Index == 0 {
		a.Capabilities = r.capabilities
	}
	if len(p.sel.MAC) > 0 {
		a.Args = append(a.Args, [2]string{"MAC", p.sel.MAC.String()})
		a.Capabilities["mac"] = raw(p.sel.MAC.String())
	}
	if len(p.sel.IPs) > 0 {
		a.Args = append(a.Args, [2]string{"IP", strings.Join(p.sel.requested(), ",")})
		a.Capabilities["ips"] = raw(p.sel.requested())
	}
	if p.sel.DeviceID != "" {
		a.Capabilities["deviceID"] = raw(p.sel.DeviceID)
	}
	if p.sel.GUID != "" {
		a.Capabilities["infinibandGUID"] = raw(p.sel.GUID)
	}
	if p.sel.Bandwidth != nil {
		a.Capabilities["bandwidth"] = raw(p.sel.Bandwidth)
	}
	if len(p.sel.Ports) > 0 {
		var ports []portMapping
		for _, m := range p.sel.Ports {
			one := portMapping{HostPort: int(m.HostPort), ContainerPort: int(m.ContainerPort), Protocol: m.Protocol.String()}
			if m.HostIP.IsValid() {
				one.HostIP = m.HostIP.String()
			}
			ports = append(ports, one)
		}
		a.Capabilities["portMappings"] = raw(ports)
	}
	if p.net.declares("CNIDeviceInfoFile") {
		a.Capabilities["CNIDeviceInfoFile"] = raw(delegate.DeviceFile(p.net.Name, r.ContainerID, p.sel.IfName))
	}
	return a
}

// raw renders strings and numbers.
func raw(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic("render " + err.Error())
	}
	return b
}

// declares tells whether a plugin of the network declares a capability.
func (n Network) declares(capability string) bool {
	return slices.ContainsFunc(n.Steps, func(s Step) bool { return slices.Contains(delegate.Declares(s.Raw), capability) })
}
