package bench

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/containernetworking/cni/libcni"
)

// Names of the two sides.
const (
	Ours = "tsunagu"
	Peer = "reference"
)

// Contender is one side: networks that a container runtime attaches a Pod to, one after the other, each a CNI configuration list that
// libcni executes.
type Contender struct {
	Name     string
	networks []network
	cni      *libcni.CNIConfig
	// pods are those of its own, nil for the World's; interfaces what they have then.
	pods       []Pod
	interfaces []string
}

type network struct {
	list   *libcni.NetworkConfigList
	ifName string
}

// mostTime is how long a runtime waits.
const mostTime = 2 * time.Minute

// ours executes the shim as the agent installed it.
func ours(work string) (*Contender, error) {
	files, err := libcni.ConfFiles("/etc/cni/net.d", []string{".conflist"})
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("the agent installed no CNI configuration: %v", err)
	}
	list, err := libcni.ConfListFromFile(files[0])
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", files[0], err)
	}
	return &Contender{Name: Ours, networks: []network{{list, "eth0"}},
		cni: libcni.NewCNIConfigWithCacheDir([]string{"/opt/cni/bin"}, filepath.Join(work, "cache", Ours), nil)}, nil
}

// plugins is where Debian has the reference plugins.
const plugins = "/usr/lib/cni"

// peer executes ptp for eth0 and macvlan twice, each with host-local. It does not masquerade and gives one IPv4 address per interface:
// the least that they can do.
func peer(work string) (*Contender, error) {
	data := filepath.Join(work, "host-local")
	confs := []struct{ ifName, conf string }{
		{"eth0", fmt.Sprintf(`{"cniVersion":"1.0.0","name":"peer0","plugins":[{"type":"ptp",
			"ipam":{"type":"host-local","dataDir":%q,"subnet":"10.88.0.0/16","routes":[{"dst":"0.0.0.0/0"}]}}]}`, data)},
		{"net1", fmt.Sprintf(`{"cniVersion":"1.0.0","name":"peer1","plugins":[{"type":"macvlan","master":"up1","mode":"bridge",
			"ipam":{"type":"host-local","dataDir":%q,"subnet":"10.89.0.0/16"}}]}`, data)},
		{"net2", fmt.Sprintf(`{"cniVersion":"1.0.0","name":"peer2","plugins":[{"type":"macvlan","master":"up2","mode":"bridge",
			"ipam":{"type":"host-local","dataDir":%q,"subnet":"10.90.0.0/16"}}]}`, data)},
	}
	c := &Contender{Name: Peer, cni: libcni.NewCNIConfigWithCacheDir([]string{plugins}, filepath.Join(work, "cache", Peer), nil)}
	for _, conf := range confs {
		list, err := libcni.ConfListFromBytes([]byte(conf.conf))
		if err != nil {
			return nil, err
		}
		c.networks = append(c.networks, network{list, conf.ifName})
	}
	return c, nil
}

// Add attaches a Pod to all networks. One that does not work ends it.
func (c *Contender) Add(ctx context.Context, s Sandbox) error {
	ctx, cancel := context.WithTimeout(ctx, mostTime)
	defer cancel()
	for _, n := range c.networks {
		if _, err := c.cni.AddNetworkList(ctx, n.list, s.runtime(n.ifName)); err != nil {
			return fmt.Errorf("%s: ADD of %s: %w", c.Name, n.ifName, err)
		}
	}
	return nil
}

// Del detaches a Pod, the last network first. All are tried.
func (c *Contender) Del(ctx context.Context, s Sandbox) error {
	ctx, cancel := context.WithTimeout(ctx, mostTime)
	defer cancel()
	var first error
	for i := len(c.networks) - 1; i >= 0; i-- {
		n := c.networks[i]
		if err := c.cni.DelNetworkList(ctx, n.list, s.runtime(n.ifName)); err != nil && first == nil {
			first = fmt.Errorf("%s: DEL of %s: %w", c.Name, n.ifName, err)
		}
	}
	return first
}
