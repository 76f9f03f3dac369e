package delegate

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/invoke"
	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
)

// Call is one plugin and one interface.
type Call struct {
	// Type names the binary, Config is its part of the list as it was written.
	Type   string
	Config json.RawMessage
	// Name and Version are those of the list.
	Name, Version string
	// ContainerID, NetNS and IfName are the interface; NetNS is "" when the sandbox is gone. All are empty for Status and GC.
	ContainerID, NetNS, IfName string
	Asked
	// Prev is what the plugins before have made, nil for the first one.
	Prev *types100.Result

	valid []Attachment
}

// Asked is what the Pod asks of all plugins of a list.
type Asked struct {
	// Args are those of CNI_ARGS, in order.
	Args [][2]string `json:"args,omitempty"`
	// Path are folders of plugins, before those of the Runner.
	Path []string `json:"path,omitempty"`
	// Capabilities go into runtimeConfig of the plugins that declare them.
	Capabilities map[string]json.RawMessage `json:"capabilities,omitempty"`
	// CNIArgs go into args.cni, Keys beside the plugin's own (deviceID), of every plugin.
	CNIArgs map[string]json.RawMessage `json:"cniArgs,omitempty"`
	Keys    map[string]json.RawMessage `json:"keys,omitempty"`
}

// Declares lists the capabilities that a plugin's configuration declares.
func Declares(config json.RawMessage) []string {
	var conf struct {
		Capabilities map[string]bool `json:"capabilities"`
	}
	if json.Unmarshal(config, &conf) != nil {
		return nil
	}
	maps.DeleteFunc(conf.Capabilities, func(_ string, yes bool) bool { return !yes })
	return slices.Sorted(maps.Keys(conf.Capabilities))
}

// input is what the plugin reads from standard input (CNI spec 1.1.0 section 4, deriving execution configuration).
func (c Call) input(verb string) ([]byte, error) {
	add := map[string]any{"name": c.Name, "cniVersion": c.Version}
	if verb != "STATUS" && verb != "GC" && verb != "VERSION" {
		if prev, err := c.previous(verb); err != nil {
			return nil, err
		} else if prev != nil {
			add["prevResult"] = prev
		}
		runtime := map[string]json.RawMessage{}
		for _, name := range Declares(c.Config) {
			if value, ok := c.Capabilities[name]; ok {
				runtime[name] = value
			}
		}
		if len(runtime) > 0 {
			add["runtimeConfig"] = runtime
		}
		for key, value := range c.Keys {
			add[key] = value
		}
		if len(c.CNIArgs) > 0 {
			args, err := c.mergedArgs()
			if err != nil {
				return nil, err
			}
			add["args"] = args
		}
	}
	if verb == "GC" {
		// Both names: the specification says the second, an early library reads the first.
		add["cni.dev/attachments"], add["cni.dev/valid-attachments"] = c.valid, c.valid
	}
	conf, err := libcni.InjectConf(&libcni.PluginConfig{Network: &types.PluginConf{Type: c.Type}, Bytes: c.Config}, add)
	if err != nil {
		return nil, fmt.Errorf("make the configuration of plugin %s: %w", c.Type, err)
	}
	return conf.Bytes, nil
}

// Ask puts what a Pod asks for into a plugin's configuration.
func Ask(config json.RawMessage, asked Asked) (json.RawMessage, error) {
	var head struct{ Type, Name, CNIVersion string }
	if err := json.Unmarshal(config, &head); err != nil {
		return nil, fmt.Errorf("read the configuration of a plugin: %w", err)
	}
	return Call{Type: head.Type, Config: config, Name: head.Name, Version: head.CNIVersion, Asked: asked}.input("ADD")
}

// previous is the result so far, in the version of the list. DEL has one since 0.4.0.
func (c Call) previous(verb string) (types.Result, error) {
	if c.Prev == nil || verb == "DEL" && !atLeast(c.Version, "0.4.0") {
		return nil, nil
	}
	prev, err := c.Prev.GetAsVersion(c.Version)
	if err != nil {
		return nil, fmt.Errorf("render the result before plugin %s in CNI %s: %w", c.Type, c.Version, err)
	}
	return prev, nil
}

// mergedArgs are the plugin's own "args" with what the Pod asks for in args.cni.
func (c Call) mergedArgs() (map[string]json.RawMessage, error) {
	var conf struct {
		Args map[string]json.RawMessage `json:"args"`
	}
	if err := json.Unmarshal(c.Config, &conf); err != nil {
		return nil, fmt.Errorf("read args of plugin %s: %w", c.Type, err)
	}
	cni := map[string]json.RawMessage{}
	if own, ok := conf.Args["cni"]; ok {
		if err := json.Unmarshal(own, &cni); err != nil {
			return nil, fmt.Errorf("read args.cni of plugin %s: %w", c.Type, err)
		}
	}
	if cni == nil {
		cni = map[string]json.RawMessage{}
	}
	maps.Copy(cni, c.CNIArgs)
	raw, err := json.Marshal(cni)
	if err != nil {
		return nil, fmt.Errorf("render args.cni of plugin %s: %w", c.Type, err)
	}
	if conf.Args == nil {
		conf.Args = map[string]json.RawMessage{}
	}
	conf.Args["cni"] = raw
	return conf.Args, nil
}

// environment is the plugin's.
func (c Call) environment(verb string, dirs []string) []string {
	var path string
	for i, dir := range c.dirs(dirs) {
		if i > 0 {
			path += string(os.PathListSeparator)
		}
		path += dir
	}
	a := invoke.Args{Command: verb, ContainerID: c.ContainerID, NetNS: c.NetNS, IfName: c.IfName, PluginArgs: c.Args, Path: path}
	return environ(a)
}

// dirs are the folders to look in, each once.
func (c Call) dirs(more []string) []string {
	var all []string
	for _, dir := range slices.Concat(c.Path, more) {
		if dir = filepath.Clean(dir); filepath.IsAbs(dir) && !slices.Contains(all, dir) {
			all = append(all, dir)
		}
	}
	return all
}
