package main

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"

	"github.com/tsunagu-net/tsunagu/vip/lease"
	"github.com/tsunagu-net/tsunagu/vip/legacy"
)

// vipKinds are what manifests are for.
var vipKinds = []string{"kubeadm", "k3s", "rke2", "daemonset", "worker"}

// vipManifest is what a manifest says.
type vipManifest struct {
	kind      string
	addresses []netip.Addr
	peers     []netip.Addr
	device    string
	first     string
	image     string
	timing    string
	keyFile   string
	weight    int
	preempt   bool
	apiPort   uint16
	notes     []string
	// mode is one of vipModes.
	mode string
	// table and protocol are those of the routes, with mode table.
	table, protocol int
	vrrp            legacy.VRRP
	bgp             legacy.BGP
	object          legacy.Lease
	// publish is the Lease that says who has the address.
	publish string
}

// vipModes are how the nodes agree.
var vipModes = []string{"lease", "vrrp", "table", "bgp", "kube-lease"}

func (a *app) vipManifest() *cobra.Command {
	var m vipManifest
	var address, peers string
	c := &cobra.Command{
		Use: "manifest", Short: "prints a manifest that runs tsunagu-vip", Args: cobra.NoArgs,
		Long: `manifest prints what runs tsunagu-vip, with where to put it and what to do next as comments. It asks nobody.

  --for kubeadm    a static Pod for every control-plane node, the first and those that join, the same on all of them
  --for k3s, rke2  a static Pod for every server; --first names the first one's address
  --for daemonset  a DaemonSet for a cluster that runs, or for the auto-deploy folder of K3s and RKE2
  --for worker     a static Pod for other nodes: only the proxy on 127.0.0.1:7443`,
		Example: `  tsunagu vip manifest --for kubeadm --address 10.0.0.100 >/etc/kubernetes/manifests/tsunagu-vip.yaml
  kubeadm init --control-plane-endpoint 10.0.0.100:6443 --upload-certs`,
	}
	f := c.Flags()
	f.StringVar(&m.kind, "for", "kubeadm", strings.Join(vipKinds, "|"))
	f.StringVar(&address, "address", "", "the control plane's address, or several with commas between")
	f.StringVar(&peers, "peers", "", "all control-plane nodes' addresses, if they are known beforehand")
	f.StringVar(&m.device, "interface", "", "interface on the address's segment (default: by the subnet, on each node)")
	f.StringVar(&m.first, "first", "", "which node may begin alone: its address, yes (this manifest is for it only) or no")
	f.StringVar(&m.image, "image", "ghcr.io/tsunagu-net/tsunagu:"+imageTag(), "image that has tsunagu-vip")
	f.StringVar(&m.timing, "timing", "default", "how fast a lost node is noticed: fast (200ms), default (400ms), wan (2s)")
	f.StringVar(&m.keyFile, "key-file", "", "file with the secret that all control-plane nodes share (default: the installer's own)")
	f.IntVar(&m.weight, "weight", 1, "preference of the node; 0 makes a witness")
	f.BoolVar(&m.preempt, "preempt", false, "move the address to a node of more weight as soon as there is one")
	f.Uint16Var(&m.apiPort, "api-port", 6443, "port of the API servers")
	f.StringVar(&m.mode, "mode", "lease", "how the nodes agree on who has the address: lease; vrrp among nodes that run keepalived; table, for a routing daemon to export; bgp, with routers; kube-lease, with kube-vip's nodes")
	f.IntVar(&m.table, "table-id", 198, "number of the routing table, with --mode=table")
	f.IntVar(&m.protocol, "table-protocol", 248, "protocol of the routes in it")
	m.bgpFlags(f)
	m.objectFlags(f)
	f.StringVar(&m.publish, "publish", "", "Lease such as kube-system/tsunagu-vip that says who has the address, with an Event for each move (modes lease and vrrp); nothing depends on it")
	f.IntVar(&m.vrrp.Router, "vrrp-router-id", 0, "keepalived's virtual_router_id")
	f.IntVar(&m.vrrp.Priority, "vrrp-priority", 100, "preference of the node with VRRP")
	f.StringVar(&m.vrrp.Interval, "vrrp-interval", "1s", "keepalived's advert_int")
	f.IntVar(&m.vrrp.Version, "vrrp-version", 3, "3, or 2, which keepalived speaks unless it is told otherwise")
	f.StringVar(&m.vrrp.Password, "vrrp-password", "", "keepalived's auth_pass, with version 2")
	_ = c.MarkFlagRequired("address")
	_ = c.RegisterFlagCompletionFunc("mode", cobra.FixedCompletions(vipModes, cobra.ShellCompDirectiveNoFileComp))
	_ = c.RegisterFlagCompletionFunc("for", cobra.FixedCompletions(vipKinds, cobra.ShellCompDirectiveNoFileComp))
	c.RunE = func(c *cobra.Command, _ []string) (err error) {
		if m.addresses, err = addresses("address", address); err != nil {
			return err
		}
		if m.peers, err = addresses("peers", peers); err != nil {
			return err
		}
		return a.printManifest(m)
	}
	return c
}

func imageTag() string {
	if strings.HasPrefix(version, "v") {
		return version
	}
	return "v0.1.0"
}

func (a *app) printManifest(m vipManifest) error {
	if err := m.check(); err != nil {
		return err
	}
	text, err := m.render()
	if err != nil {
		return err
	}
	_, err = a.out.Write(text)
	return err
}

func (m *vipManifest) check() error {
	switch {
	case !slices.Contains(vipKinds, m.kind):
		return usage("--for is one of "+strings.Join(vipKinds, ", "), "--for: %q is not known", m.kind)
	case len(m.addresses) == 0:
		return usage("", "--address: an address is needed")
	case m.weight < 0:
		return usage("", "--weight: %d is less than 0", m.weight)
	}
	if _, err := lease.TimingNamed(m.timing); err != nil {
		return usage("", "--timing: %v", err)
	}
	if m.first != "" && m.first != "yes" && m.first != "no" {
		if _, err := netip.ParseAddr(m.first); err != nil {
			return usage("", "--first: %q is neither yes, no nor a node's address", m.first)
		}
	}
	if m.publish != "" && (m.kind == "worker" || m.mode != "lease" && m.mode != "vrrp") {
		return usage("", "--publish: it means nothing with --mode=%s --for %s", m.mode, m.kind)
	}
	if m.mode == "vrrp" && m.kind != "worker" {
		return m.checkVRRP()
	}
	if m.mode == "table" && m.kind != "worker" {
		return m.checkTable()
	}
	if m.mode == "bgp" && m.kind != "worker" {
		return m.checkBGP()
	}
	if m.mode == "kube-lease" && m.kind != "worker" {
		return m.checkObject()
	}
	if !slices.Contains(vipModes, m.mode) {
		return usage("--mode is one of "+strings.Join(vipModes, ", "), "--mode: %q is not known", m.mode)
	}
	if m.first == "" && len(m.peers) == 0 && (m.kind == "k3s" || m.kind == "rke2" || m.kind == "daemonset") {
		return usage("--first=10.0.0.11, with the same manifest on all servers", "--for %s: which server is the first? --first names its address (or --peers all of them)", m.kind)
	}
	if m.first == "" {
		m.first = "auto"
		if m.kind != "kubeadm" {
			m.first = "no"
		}
	}
	return nil
}

// secretFile is the installer's own.
func (m vipManifest) secretFile() string {
	of := map[string]string{"kubeadm": vipSecrets[0], "k3s": vipSecrets[1], "rke2": vipSecrets[2], "daemonset": vipSecrets[1]}
	return cmp.Or(m.keyFile, of[m.kind])
}

func (m vipManifest) args() []string {
	list := func(all []netip.Addr) string {
		words := make([]string, len(all))
		for i, a := range all {
			words[i] = a.String()
		}
		return strings.Join(words, ",")
	}
	if m.kind == "worker" {
		return []string{"--servers=" + list(m.addresses), "--api-port=" + strconv.Itoa(int(m.apiPort))}
	}
	args := []string{"--address=" + list(m.addresses)}
	if m.mode == "lease" {
		args = append(args, "--key-file="+m.secretFile())
	}
	if m.device != "" {
		args = append(args, "--interface="+m.device)
	}
	if len(m.peers) > 0 {
		args = append(args, "--peers="+list(m.peers))
	} else if m.mode == "lease" {
		args = append(args, "--first="+m.first)
	}
	switch m.mode {
	case "vrrp":
		args = append(args, m.vrrpArgs()...)
	case "table":
		args = append(args, "--mode=table", "--table-id="+strconv.Itoa(m.table), "--table-protocol="+strconv.Itoa(m.protocol))
	case "bgp":
		args = append(args, m.bgpArgs()...)
	case "kube-lease":
		args = append(args, m.objectArgs()...)
	}
	if m.publish != "" {
		args = append(args, "--publish="+m.publish)
	}
	if m.timing != "default" {
		args = append(args, "--timing="+m.timing)
	}
	if m.weight != 1 && m.mode == "lease" {
		args = append(args, "--weight="+strconv.Itoa(m.weight))
	}
	if m.preempt {
		args = append(args, "--preempt")
	}
	if m.apiPort != 6443 {
		args = append(args, "--api-port="+strconv.Itoa(int(m.apiPort)))
	}
	return args
}

// pod is the Pod's specification, the same in all manifests.
func (m vipManifest) pod() corev1.PodSpec {
	yes := true
	root := int64(0)
	c := corev1.Container{
		Name: "tsunagu-vip", Image: m.image, Command: []string{"tsunagu-keep", "tsunagu-vip"}, Args: m.args(),
		SecurityContext: &corev1.SecurityContext{RunAsUser: &root, ReadOnlyRootFilesystem: &yes, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}},
		LivenessProbe:   probe("/healthz"),
		Resources:       vipResources(),
	}
	spec := corev1.PodSpec{HostNetwork: true, PriorityClassName: "system-node-critical", Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}}, Containers: []corev1.Container{c}}
	at := &spec.Containers[0]
	mount := func(name, path string, kind corev1.HostPathType, readOnly bool) {
		spec.Volumes = append(spec.Volumes, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: path, Type: &kind}}})
		at.VolumeMounts = append(at.VolumeMounts, corev1.VolumeMount{Name: name, MountPath: path, ReadOnly: readOnly})
	}
	mount("state", "/var/lib/tsunagu/vip", corev1.HostPathDirectoryOrCreate, false)
	mount("run", vipRun, corev1.HostPathDirectoryOrCreate, false)
	if m.kind == "worker" {
		return spec
	}
	at.SecurityContext.Capabilities.Add = []corev1.Capability{"NET_ADMIN", "NET_RAW", "BPF", "SYS_ADMIN", "SYS_RESOURCE", "SYS_NICE", "IPC_LOCK"}
	if m.mode == "bgp" && m.bgp.PasswordFile != "" {
		mount("bgp", folder(m.bgp.PasswordFile), corev1.HostPathDirectory, true)
	}
	if m.mode == "kube-lease" || m.publish != "" {
		mount("credential", m.credential(), corev1.HostPathDirectoryOrCreate, true)
	}
	if m.mode != "lease" { // no secret is shared
		return spec
	}
	// The folder, not the file: on K3s it is written after this Pod may have begun, and is waited for.
	mount("secret", folder(m.secretFile()), corev1.HostPathDirectoryOrCreate, true)
	if m.kind == "kubeadm" {
		mount("manifests", "/etc/kubernetes/manifests", corev1.HostPathDirectoryOrCreate, true)
	}
	return spec
}

func folder(path string) string { return path[:max(1, strings.LastIndexByte(path, '/'))] }

// comments say where the manifest goes and what comes next.
func (m vipManifest) comments() []string {
	address := m.addresses[0].String()
	endpoint := netip.AddrPortFrom(m.addresses[0], m.apiPort).String()
	where := map[string][]string{
		"kubeadm": {"Put this into /etc/kubernetes/manifests/tsunagu-vip.yaml on every control-plane node, before kubeadm runs there. Then:",
			"  kubeadm init --control-plane-endpoint " + endpoint + " --upload-certs",
			"  kubeadm join " + endpoint + " --control-plane …"},
		"k3s": {"Put this into /var/lib/rancher/k3s/agent/pod-manifests/tsunagu-vip.yaml on every server, before k3s starts there. Then:",
			"  k3s server --cluster-init --tls-san=" + address + " --disable=servicelb", "  k3s server --server https://" + endpoint + " --tls-san=" + address + " --disable=servicelb …"},
		"rke2": {"Put this into /var/lib/rancher/rke2/agent/pod-manifests/tsunagu-vip.yaml on every server, before rke2 starts there. In /etc/rancher/rke2/config.yaml:",
			"  tls-san: [" + address + "]", "  server: https://" + netip.AddrPortFrom(m.addresses[0], 9345).String() + "    # not on the first server"},
		"daemonset": {"kubectl apply -f this, or put it into /var/lib/rancher/k3s/server/manifests/tsunagu-vip.yaml on the first server.",
			"It needs no API server itself: a node that has started it once keeps it. RKE2 and kubeadm: --key-file names the common secret."},
		"worker": {"Put this into the static Pods' folder of other nodes. Programs there reach an API server at https://127.0.0.1:7443 (tls-server-name: kubernetes)."},
	}[m.kind]
	out := []string{"Made by: tsunagu vip manifest --for " + m.kind}
	out = append(out, where...)
	for _, n := range m.notes {
		out = append(out, "Note: "+n)
	}
	for i, l := range out {
		out[i] = "# " + l
	}
	return out
}

// render writes the manifest.
func (m vipManifest) render() ([]byte, error) {
	labels := map[string]string{"app.kubernetes.io/name": "tsunagu-vip", "app.kubernetes.io/part-of": "tsunagu"}
	body, err := vipObject(m, labels)
	if err != nil {
		return nil, fmt.Errorf("write the manifest: %w", err)
	}
	return append([]byte(strings.Join(m.comments(), "\n")+"\n"), body...), nil
}
