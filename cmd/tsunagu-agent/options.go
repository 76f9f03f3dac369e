package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tsunagu-net/tsunagu/attach"
	"github.com/tsunagu-net/tsunagu/attach/delegate"
	"github.com/tsunagu-net/tsunagu/attach/device"
	"github.com/tsunagu-net/tsunagu/attach/install"
	"github.com/tsunagu-net/tsunagu/attach/kind"
	"github.com/tsunagu-net/tsunagu/attach/shimrpc"
	"github.com/tsunagu-net/tsunagu/overlay"
)

// options are the flags, read.
type options struct {
	version    bool
	node       string
	namespace  string // of the agent's own Pod; "" outside a cluster
	kubeconfig string
	logLevel   slog.Level
	http       string

	runDir, socket  string
	kubeletDir      string
	shim            string
	binDir, confDir string
	hostRoot        string
	pluginTime      time.Duration
	existing        bool // the network that the node had before stays
	clusterNetwork  string
	everyPod        attach.EveryPod
	networkDirs     []string
	keepConf        bool
	ipamPlugins     []string
	beside          string // namespace of whereabouts' objects; "" when no node runs it

	overlay    overlay.Config
	prefixes   []netip.Prefix
	namespaces attach.Namespaces
	datapath   kind.Datapath // of VLANs on trunks
}

// parse reads the command line. Of the environment it takes only what the Pod's manifest knows and no flag could say: its node and its
// namespace.
func parse(args []string, env func(string) string, out io.Writer) (options, error) {
	o := options{namespace: env("POD_NAMESPACE")}
	f := flag.NewFlagSet("tsunagu-agent", flag.ContinueOnError)
	f.SetOutput(out)
	f.BoolVar(&o.version, "version", false, "print the version and end")
	f.StringVar(&o.node, "node-name", env("NODE_NAME"), "name of this node's Node object (default $NODE_NAME)")
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "file that says how to reach the API server (default: the Pod's service account)")
	f.StringVar(&o.http, "http", "127.0.0.1:9871", `address of /metrics, /status, /healthz and /readyz; "" for none`)
	f.TextVar(&o.logLevel, "log-level", slog.LevelInfo, "debug, info, warn or error")
	f.StringVar(&o.kubeletDir, "kubelet-dir", "/var/lib/kubelet", "root directory of kubelet, which tells the devices of Pods")
	f.StringVar(&o.runDir, "run-dir", filepath.Dir(shimrpc.Socket), "folder of sockets and journals; it must be emptied by a reboot")
	f.StringVar(&o.binDir, "cni-bin-dir", "/opt/cni/bin", "the container runtime's folder of CNI plugins")
	f.StringVar(&o.confDir, "cni-conf-dir", "/etc/cni/net.d", "the container runtime's folder of CNI configurations")
	f.StringVar(&o.hostRoot, "host-root", "", "the node's root folder as the agent sees it: plugins of others are executed there (default: the agent's own)")
	f.DurationVar(&o.pluginTime, "plugin-timeout", delegate.Patience, "how long one execution of a plugin of others may take, at most 75s")
	own := f.String("pod-network", "tsunagu", "the network that every Pod is on: tsunagu, or existing, which is the first configuration of --cni-conf-dir that is not tsunagu's")
	f.StringVar(&o.clusterNetwork, "cluster-network", "", "namespace/name of the network attachment definition that every Pod's first interface is on (default: the one of --pod-network)")
	every := f.String("default-networks", "", "comma list of network attachment definitions, as [namespace/]name, that every Pod is on besides")
	system := f.String("system-namespaces", "kube-system", "comma list of namespaces whose Pods are not on --default-networks")
	f.StringVar(&o.everyPod.Namespace, "default-network-namespace", "kube-system", "namespace of the definitions of --cluster-network, --default-networks and Pods' default networks that are named without one")
	dirs := f.String("network-conf-dirs", "/etc/cni/multus/net.d,/etc/cni/net.d", "comma list of the node's folders in which the configuration of a definition without spec.config is looked for")
	f.StringVar(&o.shim, "shim", "", "the tsunagu-cni to install (default: the one beside this program)")
	standFor := f.String("ipam-plugins", "", "comma list of IPAM plugins that the shim stands for in the runtime's folder, for main plugins of others: whereabouts, host-local, static; what is there is put aside, and put back at the end")
	f.StringVar(&o.beside, "beside-whereabouts", "", "namespace of the objects of whereabouts (kube-system), while other nodes still run it: addresses of networks of ipam type whereabouts are booked there too")
	files := f.Bool("install", true, "put shim and configuration into the container runtime's folders")
	encap := f.String("encap", string(overlay.GPE), "how packets travel between nodes: vxlan-gpe, none (routes only) or auto")
	f.IntVar(&o.overlay.VNI, "vni", overlay.DefaultVNI, "VXLAN network identifier, equal on all nodes")
	f.IntVar(&o.overlay.Port, "port", overlay.DefaultPort, "UDP port between nodes, equal on all nodes")
	f.IntVar(&o.overlay.MTU, "mtu", 0, "MTU of packets between nodes (default: of the node's interface)")
	f.BoolVar(&o.overlay.Masquerade, "masquerade", true, "hide Pods behind the node's address when they talk to the outside")
	prefixes := f.String("pod-network-prefixes", "", "comma list of prefixes that Pods reach by the pod network even if another network is their default route (default: the nodes' podCIDRs and the Services' addresses)")
	f.BoolVar(&o.namespaces.Isolation, "namespace-isolation", false, "Pods may use networks of their own and of global namespaces only")
	global := f.String("global-namespaces", "default", "comma list of namespaces whose networks all Pods may use in spite of isolation")
	datapath := f.String("trunk-datapath", "auto", "what carries VLANs of trunks whose Network does not say: ebpf, bridge (802.1Q interface and bridge), or auto: ebpf where the kernel can")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.version {
		return o, nil
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("argument %q is not understood: there are only flags (-h lists them)", f.Arg(0))
	}
	if o.node == "" {
		return o, errors.New("which node is this? set --node-name or $NODE_NAME to the name of its Node object")
	}
	if o.pluginTime < time.Second || o.pluginTime > 75*time.Second {
		return o, fmt.Errorf("--plugin-timeout: %v is not between 1s and 75s, which is less than container runtimes wait", o.pluginTime)
	}
	var err error
	if o.overlay.Encap, err = overlay.ParseEncap(*encap); err != nil {
		return o, fmt.Errorf("--encap: %w", err)
	}
	for _, text := range split(*prefixes) {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return o, fmt.Errorf("--pod-network-prefixes: %q is not a prefix such as 10.244.0.0/16", text)
		}
		o.prefixes = append(o.prefixes, p.Masked())
	}
	if o.datapath, err = kind.ParseDatapath(*datapath); err != nil {
		return o, fmt.Errorf("--trunk-datapath: %w", err)
	}
	switch *own {
	case "tsunagu":
	case "existing":
		o.existing, o.overlay.RulesOnly = true, true
	default:
		return o, fmt.Errorf("--pod-network: %q is neither tsunagu nor existing", *own)
	}
	for _, dir := range split(*dirs) {
		o.networkDirs = append(o.networkDirs, filepath.Join(o.hostRoot, dir))
	}
	o.namespaces.Global = split(*global)
	o.everyPod.Networks, o.everyPod.Except = split(*every), split(*system)
	if err := o.everyPod.Check(); err != nil {
		return o, fmt.Errorf("--default-networks: %w", err)
	}
	for _, name := range split(*standFor) {
		if !slices.Contains(install.IPAMNames, name) {
			return o, fmt.Errorf("--ipam-plugins: %q is not one of %s", name, strings.Join(install.IPAMNames, ", "))
		}
		o.ipamPlugins = append(o.ipamPlugins, name)
	}
	o.socket = filepath.Join(o.runDir, filepath.Base(shimrpc.Socket))
	o.keepConf = *files
	if o.shim == "" {
		self, err := os.Executable()
		if err != nil {
			return o, fmt.Errorf("find the folder of this program: %w", err)
		}
		o.shim = filepath.Join(filepath.Dir(self), "tsunagu-cni")
	}
	return o, nil
}

func split(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}

// devices is where kubelet tells the devices of Pods.
func (o options) devices() device.Kubelet {
	return device.Kubelet{
		Socket:     filepath.Join(o.kubeletDir, "pod-resources", "kubelet.sock"),
		Checkpoint: filepath.Join(o.kubeletDir, "device-plugins", "kubelet_internal_checkpoint"),
	}
}
