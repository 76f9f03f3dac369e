package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/tsunagu-net/tsunagu/lab/plan"
)

// Proxy says who implements Services.
type Proxy string

const (
	ProxyNFTables Proxy = "nftables" // kube-proxy
	ProxyNone     Proxy = "none"     // whoever is installed later
)

// CNI says who makes the Pod network.
type CNI string

const (
	// CNINone leaves the nodes without one: they register and stay NotReady
	// until somebody installs a network, which is what a lab is for.
	CNINone CNI = "none"
	// CNIBridge sets up the reference plugins of the distribution with static
	// routes: enough to try the lab itself, and a peer to compare with.
	CNIBridge CNI = "bridge"
)

// Options say what lab to make. The zero value is the default lab.
type Options struct {
	Name          string      `json:"name"`
	Nodes         int         `json:"nodes"`
	ControlPlanes int         `json:"controlPlanes"`
	Proxy         Proxy       `json:"proxy"`
	Family        plan.Family `json:"ipFamily"`
	CNI           CNI         `json:"cni"`
	// Endpoint is an address (host:port) by which nodes reach the API servers,
	// for labs that try a virtual address; empty picks them directly.
	Endpoint string `json:"endpoint,omitempty"`
	// VIP is an address on the nodes' segment, or "auto", that tsunagu-vip keeps
	// on one of the control planes, and by which all reach the API servers:
	// workers through its proxy, too. Empty is none.
	VIP string `json:"vip,omitempty"`
	// Images are archives to load into every node beside the lab's own.
	Images []string `json:"images,omitempty"`
	// Dir is the directory that holds .lab; empty looks for it with Root.
	Dir string `json:"dir"`
	// Source is the lab's source, for building; empty is Dir/lab.
	Source string `json:"source"`
	// Progress is told every step; nil is silence.
	Progress *Progress `json:"-"`
}

func (o Options) complete() (Options, error) {
	if o.Name == "" {
		o.Name = "lab"
	}
	if o.Nodes == 0 {
		o.Nodes = 3
	}
	if o.ControlPlanes == 0 {
		o.ControlPlanes = 1
	}
	if o.Proxy == "" {
		o.Proxy = ProxyNFTables
		if o.VIP != "" { // nothing that the address could lean on
			o.Proxy = ProxyNone
		}
	}
	if o.Family == "" {
		o.Family = plan.Dual
	}
	if o.CNI == "" {
		o.CNI = CNINone
	}
	var err error
	if o.Dir == "" {
		if o.Dir, err = Root("."); err != nil {
			return o, err
		}
	}
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return o, err
	}
	if o.Source == "" {
		o.Source = filepath.Join(o.Dir, "lab")
	}
	if err := o.check(); err != nil {
		return o, err
	}
	return o, o.chooseVIP()
}

func (o Options) check() error {
	if err := plan.CheckName("lab", o.Name); err != nil {
		return err
	}
	if _, err := plan.ParseFamily(string(o.Family)); err != nil {
		return err
	}
	switch {
	case o.Nodes < 1 || o.Nodes > plan.MaxNodes:
		return fmt.Errorf("%d nodes: want 1 to %d", o.Nodes, plan.MaxNodes)
	case o.ControlPlanes < 1 || o.ControlPlanes > o.Nodes:
		return fmt.Errorf("%d control planes on %d nodes: want at least one and at most one per node", o.ControlPlanes, o.Nodes)
	case o.Proxy != ProxyNFTables && o.Proxy != ProxyNone:
		return fmt.Errorf("kube-proxy mode %q: want nftables or none", o.Proxy)
	case o.CNI != CNINone && o.CNI != CNIBridge:
		return fmt.Errorf("CNI %q: want none or bridge", o.CNI)
	case strings.ContainsAny(o.Dir, ",:\\"):
		// overlayfs separates its options with them
		return fmt.Errorf("directory %s: a lab's directory cannot have a comma, colon or backslash in its name; choose another with --dir", o.Dir)
	}
	return nil
}

// module is the first line of the go.mod that marks tsunagu's repository.
const module = "module github.com/tsunagu-net/tsunagu\n"

// Root finds the directory whose .lab is meant: the nearest one from start
// upwards that has a .lab or is tsunagu's repository, else start itself.
func Root(start string) (string, error) {
	abs, err := filepath.Abs(start)
	if err != nil {
		return "", err
	}
	for dir := abs; ; dir = filepath.Dir(dir) {
		if st, err := os.Stat(filepath.Join(dir, ".lab")); err == nil && st.IsDir() {
			return dir, nil
		}
		if b, err := os.ReadFile(filepath.Join(dir, "go.mod")); err == nil && strings.HasPrefix(string(b), module) {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return abs, nil
		}
	}
}
