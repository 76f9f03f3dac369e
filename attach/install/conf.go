package install

import (
	"encoding/json"
	"path/filepath"
	"slices"
)

const (
	// ShimName is the file in the plugin folder, and the plugin's type.
	ShimName = "tsunagu-cni"
	// ConfName is the file in the configuration folder. Runtimes use the
	// first file in the order of their names.
	ConfName = "00-tsunagu.conflist"
	// NetworkName is the cluster network's name in the configuration and in
	// the network-status annotation.
	NetworkName = "tsunagu"
)

// conflist is a CNI network configuration list (CNI 1.1.0, section 1).
type conflist struct {
	CNIVersion  string   `json:"cniVersion"`
	CNIVersions []string `json:"cniVersions,omitempty"`
	Name        string   `json:"name"`
	Plugins     []plugin `json:"plugins"`
}

type plugin struct {
	Type         string          `json:"type"`
	Capabilities map[string]bool `json:"capabilities,omitempty"`
	Socket       string          `json:"socket,omitempty"`
}

// Conf renders the configuration that makes the runtime call the shim, and the
// shim call the agent at socket. cniVersion is what libraries of CNI 1.0 (as
// in containerd 1.6) understand; newer ones choose from cniVersions and get
// STATUS and GC with 1.1.0. Capabilities are declared besides portMappings, so
// that the runtime says what plugins of others need to know.
func Conf(socket string, capabilities []string) []byte {
	declared := map[string]bool{"portMappings": true}
	for _, name := range capabilities {
		declared[name] = true
	}
	raw, err := json.MarshalIndent(conflist{
		CNIVersion:  "1.0.0",
		CNIVersions: []string{"0.3.1", "0.4.0", "1.0.0", "1.1.0"},
		Name:        NetworkName,
		Plugins: []plugin{{
			Type:         ShimName,
			Capabilities: declared,
			Socket:       socket,
		}},
	}, "", "  ")
	if err != nil {
		panic("render the CNI configuration: " + err.Error()) // strings and bools only
	}
	return append(raw, '\n')
}

// Ours tells whether a configuration was written by any version of tsunagu:
// its first plugin is our shim. What cannot be parsed is not ours.
func Ours(conf []byte) bool {
	var c conflist
	return json.Unmarshal(conf, &c) == nil && len(c.Plugins) > 0 && c.Plugins[0].Type == ShimName
}

// loaded tells whether runtimes look at a file of this name at all.
func loaded(name string) bool {
	return slices.Contains([]string{".conf", ".conflist", ".json"}, filepath.Ext(name))
}
