package attach

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/tsunagu-net/tsunagu/attach/kind"
	"github.com/tsunagu-net/tsunagu/ipam"
)

// Network is a definition that was read: what its interfaces are.
type Network struct {
	// Ref is namespace/name of the definition.
	Ref string
	// Spec is the kind of interface.
	Spec kind.Spec
	// MAC and MTU are those of a chained tuning; they come before Spec's.
	MAC net.HardwareAddr
	MTU int
	// Name is that of the configuration, or of the definition when it has none.
	Name string
	// IPAM is where addresses come from; zero for a network without.
	IPAM ipam.Config
}

// pluginConfig is the part of a plugin's configuration that this room reads (CNI spec 1.1.0 section 1).
type pluginConfig struct {
	Type string          `json:"type"`
	IPAM json.RawMessage `json:"ipam"`
	raw  json.RawMessage
}

// ParseDefinition reads a definition's configuration: one plugin, or a list. A missing name or cniVersion does not matter. Errors are
// Refusals that name the definition and the place.
func ParseDefinition(d Definition) (Network, error) {
	n := Network{Ref: d.String(), Name: d.Name}
	if d.Resource != "" {
		return n, refusef(ReasonUnsupportedField, "use a definition without the annotation k8s.v1.cni.cncf.io/resourceName",
			"network-attachment-definition %s wants a device of resource %s, devices of device plugins are not attached yet", d, d.Resource)
	}
	plugins, err := readChain(d)
	if err != nil {
		return n, err
	}
	if name := configName(d); name != "" {
		n.Name = name
	}
	for i, p := range plugins {
		where := fmt.Sprintf("network-attachment-definition %s", d)
		if len(plugins) > 1 {
			where += fmt.Sprintf(", plugins[%d]", i)
		}
		switch {
		case p.Type == "":
			return n, refusef(ReasonBadConfig, `add "type", one of `+strings.Join(kind.Names(), ", "), `%s: spec.config has no "type"`, where)
		case i == 0:
			err = n.first(p)
		case p.Type == "tuning":
			err = n.tune(p)
		case p.Type == "portmap", p.Type == "bandwidth", p.Type == "firewall", p.Type == "sbr", p.Type == "vrf":
			err = refusef(ReasonUnknownPlugin, "remove it from the list", "type %q is not built in as a chained plugin", p.Type)
		case kind.Known(p.Type):
			err = refusef(ReasonBadConfig, "make two definitions, a Pod can select both", "type %q makes a second interface, only the first of a list may", p.Type)
		default:
			err = refusef(ReasonUnknownPlugin, "remove it from the list; built in as chained is tuning", "type %q is not built in as a chained plugin", p.Type)
		}
		if err != nil {
			r := *refused(err)
			r.Message = where + ": " + r.Message
			return n, &r
		}
	}
	n.IPAM = n.IPAM.OfNetwork(n.Name, d.ClusterWide)
	return n, nil
}

// configName is the name that the configuration gives its network.
func configName(d Definition) string {
	var conf struct {
		Name string `json:"name"`
	}
	_ = json.Unmarshal([]byte(d.Config), &conf) // a name of another type is none
	return conf.Name
}

// readChain takes a configuration apart into its plugins.
func readChain(d Definition) ([]pluginConfig, error) {
	if strings.TrimSpace(d.Config) == "" {
		return nil, refusef(ReasonEmptyConfig, "put the CNI configuration into spec.config",
			"network-attachment-definition %s has no spec.config, and configuration files of the node are not read", d)
	}
	var list struct {
		Type    string            `json:"type"`
		Plugins []json.RawMessage `json:"plugins"`
	}
	if err := json.Unmarshal([]byte(d.Config), &list); err != nil {
		return nil, badConfig(d, explainJSON(d.Config, err))
	}
	var members map[string]json.RawMessage
	if json.Unmarshal([]byte(d.Config), &members) != nil || members == nil {
		return nil, badConfig(d, "it must be a JSON object")
	}
	raws := list.Plugins
	if _, isList := members["plugins"]; !isList {
		raws = []json.RawMessage{json.RawMessage(d.Config)}
	} else if len(raws) == 0 {
		return nil, badConfig(d, `"plugins" is empty`)
	}
	var plugins []pluginConfig
	for i, raw := range raws {
		p := pluginConfig{raw: raw}
		if err := json.Unmarshal(raw, &p); err != nil || string(raw) == "null" {
			return nil, badConfig(d, fmt.Sprintf("plugins[%d]: %s", i, pluginError(raw, err)))
		}
		plugins = append(plugins, p)
	}
	return plugins, nil
}

func pluginError(raw json.RawMessage, err error) string {
	var typed *json.UnmarshalTypeError
	if errors.As(err, &typed) && typed.Field != "" {
		return fmt.Sprintf("%q must be %s, not a JSON %s", typed.Field, describeType(typed.Type.String()), typed.Value)
	}
	return fmt.Sprintf("must be an object, not %s", abbreviate(string(raw)))
}

func badConfig(d Definition, message string) *Refusal {
	return refusef(ReasonBadConfig, "correct it: kubectl -n "+d.Namespace+" edit network-attachment-definitions "+d.Name,
		"network-attachment-definition %s: spec.config is not valid: %s", d, message)
}

// first reads the plugin that makes the interface.
func (n *Network) first(p pluginConfig) (err error) {
	if p.Type == (kind.Pod{}).Type() {
		return refusef(ReasonUnknownPlugin, `use "ptp"`, "type %q is the pod network's own", p.Type)
	}
	if n.Spec, err = kind.Parse(p.Type, p.raw); err != nil {
		return err
	}
	n.IPAM, err = ipam.ParseConfig(p.IPAM)
	return err
}

// tuningPassed are keys of CNI itself that tuning has too, and those that ask for nothing by themselves.
var tuningPassed = []string{"type", "name", "cniVersion", "capabilities", "dataDir"}

// tune reads a chained tuning: mac and mtu are properties of the interface here, the rest is refused by name. An address asked for in
// the Pod's annotation needs no tuning at all.
func (n *Network) tune(p pluginConfig) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(p.raw, &fields); err != nil {
		return err
	}
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		value := fields[field]
		var err error
		switch {
		case slices.Contains(tuningPassed, field), empty(value):
		case field == "mac":
			var text string
			if err = json.Unmarshal(value, &text); err == nil {
				n.MAC, err = kind.ParseMAC(text)
			}
		case field == "mtu":
			if err = json.Unmarshal(value, &n.MTU); err == nil && n.MTU != 0 && (n.MTU < 68 || n.MTU > 65535) {
				err = fmt.Errorf("%d is not an MTU, it is 68 to 65535", n.MTU)
			}
		default:
			return refusef("UnsupportedOption", fmt.Sprintf("remove %q from the network's configuration", field), "tuning configuration: %q is not supported", field)
		}
		if err != nil {
			return refusef(ReasonBadConfig, "correct the network's configuration", "tuning configuration: %q: %v", field, err)
		}
	}
	return nil
}
