package attach

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/tsunagu-net/tsunagu/attach/chained"
	"github.com/tsunagu-net/tsunagu/attach/delegate"
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
	// Steps are the plugins behind the first of the list, in order; one that is not built in and makes the interface is the first of them.
	Steps []Step
	// Giver is the ipam plugin, when its type is not built in and the interface is made here.
	Giver *Step
	// Version is the cniVersion that plugins of others are spoken to in.
	Version string
	// NoCheck and NoGC are disableCheck and disableGC of the list.
	NoCheck, NoGC bool
	// Name is that of the configuration, or of the definition when it has none.
	Name string
	// IPAM is where addresses come from; zero for a network without. PerNodeByChoice tells that nodes count for themselves because the
	// definition says so.
	IPAM            ipam.Config
	PerNodeByChoice bool
	// IPs are addresses that the configuration or the Pod's cni-args ask for (args.cni.ips).
	IPs []RequestedIP
}

// pluginConfig is the part of a plugin's configuration that this room reads (CNI spec 1.1.0 section 1).
type pluginConfig struct {
	Type string          `json:"type"`
	IPAM json.RawMessage `json:"ipam"`
	DNS  ipam.DNS        `json:"dns"`
	Args struct {
		CNI struct {
			IPs json.RawMessage `json:"ips"`
		} `json:"cni"`
	} `json:"args"`
	raw json.RawMessage
}

// ParseDefinition reads a definition's configuration: one plugin, or a list. A missing name or cniVersion does not matter. Errors are
// Refusals that name the definition and the place.
func ParseDefinition(d Definition) (Network, error) { return parseDefinition(d, delegate.Asked{}) }

// parseDefinition reads a definition for a Pod that asks for something in the configuration of its plugins.
func parseDefinition(d Definition, asked delegate.Asked) (Network, error) {
	n := Network{Ref: d.String(), Name: d.Name}
	if d.Resource != "" && len(asked.Keys) == 0 { // nobody looked for one
		asked.Keys = Selection{DeviceID: someDevice}.pluginKeys().Keys
	}
	plugins, err := readChain(d)
	if err != nil {
		return n, err
	}
	if err := n.readHead(d); err != nil {
		return n, err
	}
	for i, p := range plugins {
		if len(asked.Keys)+len(asked.CNIArgs) > 0 {
			if p.raw, err = delegate.Ask(p.raw, asked); err != nil {
				return n, badConfig(d, err.Error())
			}
			if ips, ok := asked.CNIArgs["ips"]; ok {
				p.Args.CNI.IPs = ips
			}
		}
		where := fmt.Sprintf("network-attachment-definition %s", d)
		if len(plugins) > 1 {
			where += fmt.Sprintf(", plugins[%d]", i)
		}
		switch {
		case p.Type == "":
			return n, refusef(ReasonBadConfig, `add "type", one of `+strings.Join(kind.Names(), ", "), `%s: spec.config has no "type"`, where)
		case i == 0:
			err = n.first(p, d.Binaries)
		case d.Binaries:
			n.Steps = append(n.Steps, Step{Type: p.Type, Raw: p.raw, Foreign: true})
		case chained.Known(p.Type) && !n.Foreign(): // what is built in needs an interface that was made here
			err = n.step(p)
		case kind.Known(p.Type):
			err = refusef(ReasonBadConfig, "make two definitions, a Pod can select both", "type %q makes a second interface, only the first of a list may", p.Type)
		default:
			n.Steps = append(n.Steps, Step{Type: p.Type, Raw: p.raw, Foreign: true})
		}
		if err != nil {
			r := *refused(err)
			r.Message = where + ": " + r.Message
			return n, &r
		}
	}
	n.IPAM, n.PerNodeByChoice = n.IPAM.OfNetwork(n.Name, d.clusterWide(n.Spec)), d.Count == CountNode
	return n, nil
}

// readHead reads what a configuration says beside its plugins: name, version, and which verbs it does without.
func (n *Network) readHead(d Definition) error {
	var conf struct {
		Name         json.RawMessage `json:"name"`
		Version      string          `json:"cniVersion"`
		Versions     []string        `json:"cniVersions"`
		DisableCheck any             `json:"disableCheck"`
		DisableGC    any             `json:"disableGC"`
	}
	if err := json.Unmarshal([]byte(d.Config), &conf); err != nil {
		return badConfig(d, explainJSON(d.Config, err))
	}
	var name string
	if json.Unmarshal(conf.Name, &name) == nil && name != "" { // a name of another type is none
		n.Name = name
	}
	n.NoCheck, n.NoGC = isTrue(conf.DisableCheck), isTrue(conf.DisableGC)
	n.Version = delegate.Speak(conf.Version, conf.Versions)
	return nil
}

// isTrue reads a flag that libraries accept as text, too.
func isTrue(v any) bool {
	text, isText := v.(string)
	yes, _ := v.(bool)
	return yes || isText && strings.EqualFold(text, "true")
}

// readChain takes a configuration apart into its plugins.
func readChain(d Definition) ([]pluginConfig, error) {
	if strings.TrimSpace(d.Config) == "" {
		return nil, refusef(ReasonEmptyConfig, "put the CNI configuration into spec.config",
			"network-attachment-definition %s has no spec.config: only nodes with a file of that name can attach it", d)
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
func (n *Network) first(p pluginConfig, binaries bool) (err error) {
	if p.Type == (kind.Pod{}).Type() {
		return refusef(ReasonUnknownPlugin, `use "ptp"`, "type %q is the pod network's own", p.Type)
	}
	if binaries || !kind.Known(p.Type) {
		n.Spec = kind.Foreign{Plugin: p.Type}
		n.Steps = append(n.Steps, Step{Type: p.Type, Raw: p.raw, Foreign: true, Head: true})
		return nil
	}
	if n.Spec, err = kind.Parse(p.Type, p.raw); err != nil {
		return err
	}
	if n.IPAM, err = ipam.ParseConfig(p.IPAM); ipam.ReasonOf(err) == ipam.UnknownType {
		n.Giver, err = giverOf(p)
	}
	if err == nil && n.Giver == nil && len(p.Args.CNI.IPs) > 0 {
		n.IPs, err = argumentIPs(p.Args.CNI.IPs)
	}
	if !p.DNS.Empty() { // it comes before that of the addresses, as with the plugins
		n.IPAM.DNS, n.IPAM.ResolvConf = p.DNS, ""
	}
	return err
}

// argumentIPs reads args.cni.ips (CNI conventions, "ips").
func argumentIPs(raw json.RawMessage) ([]RequestedIP, error) {
	var texts []string
	if err := json.Unmarshal(raw, &texts); err != nil {
		return nil, refusef(ReasonBadAddress, `write a list such as ["192.168.10.5/24"]`, "args.cni.ips must be a list of addresses, not %s", abbreviate(string(raw)))
	}
	return ipamRequest{ips: texts}.asked()
}

// giverOf is the plugin that an ipam section names.
func giverOf(p pluginConfig) (*Step, error) {
	var section struct {
		Type string `json:"type"`
	}
	_ = json.Unmarshal(p.IPAM, &section) // ipam.ParseConfig has read it
	if strings.ContainsRune(section.Type, '/') {
		return nil, refusef(ipam.BadConfig, "name a plugin, without its folder", "ipam.type %q is a path", section.Type)
	}
	return &Step{Type: section.Type, Raw: p.raw, Foreign: true}, nil
}

// Foreign tells whether a plugin of others makes the interface.
func (n Network) Foreign() bool {
	_, yes := n.Spec.(kind.Foreign)
	return yes
}

// step reads a plugin behind the first. What tuning sets an interface has from the start, when it is made here.
func (n *Network) step(p pluginConfig) error {
	spec, err := chained.Parse(p.Type, p.raw)
	if _, elsewhere := errors.AsType[chained.Elsewhere](err); elsewhere {
		n.Steps = append(n.Steps, Step{Type: p.Type, Raw: p.raw, Foreign: true})
		return nil
	}
	if err != nil {
		return err
	}
	if t, ok := spec.(chained.Tuning); ok {
		if t.MAC != nil {
			n.MAC = t.MAC
		}
		if t.MTU != 0 {
			n.MTU = t.MTU
		}
	}
	n.Steps = append(n.Steps, Step{Type: p.Type, Raw: p.raw, Chained: spec})
	return nil
}
