package cluster

import (
	"fmt"
	"net"
	"strings"

	"github.com/tsunagu-net/tsunagu/lab/image"
	"github.com/tsunagu-net/tsunagu/lab/plan"
	"github.com/tsunagu-net/tsunagu/lab/supervise"
)

// Sockets and files at their usual places in a node.
const (
	containerdSocket = "/run/containerd/containerd.sock"
	containerdConfig = "/etc/containerd/config.toml"
	kubeletConfig    = "/etc/kubernetes/kubelet.yaml"
	proxyConfig      = "/etc/kubernetes/kube-proxy.yaml"
)

// server is the API server a node talks to.
func server(s state, n Node) string {
	masters := s.controlPlanes()
	switch {
	case s.Options.VIP != "" && !n.ControlPlane:
		return "https://127.0.0.1:" + vipProxyPort
	case s.Options.endpoint() != "":
		return "https://" + s.Options.endpoint()
	case n.ControlPlane:
		return url(n.Addresses[0].Addr(), apiPort)
	case len(masters) == 1:
		return url(masters[0].Addresses[0].Addr(), apiPort)
	}
	return "https://127.0.0.1:" + localAPIPort
}

// forwards gives a worker of several control planes its own way to any of them.
func forwards(s state, n Node) []supervise.Forward {
	if n.ControlPlane || s.Options.endpoint() != "" || len(s.controlPlanes()) == 1 {
		return nil
	}
	return []supervise.Forward{{Listen: "127.0.0.1:" + localAPIPort, Targets: apiTargets(s)}}
}

// apiTargets is where the way from outside leads: the control plane's address, or
// any of the API servers.
func apiTargets(s state) []string {
	if s.Options.VIP != "" {
		return []string{s.Options.endpoint()}
	}
	var out []string
	for _, m := range s.controlPlanes() {
		out = append(out, net.JoinHostPort(m.Addresses[0].Addr().String(), apiPort))
	}
	return out
}

// nodeComponents renders what every node runs.
func nodeComponents(s state, n Node) []supervise.Component {
	api := "tcp:" + strings.TrimPrefix(server(s, n), "https://")
	out := append(vipComponents(s, n), []supervise.Component{
		{Name: "containerd", Argv: []string{"containerd", "--config", containerdConfig}},
		{Name: "kubelet", Wait: []string{"unix:" + containerdSocket, api}, Argv: []string{s.program("kubelet"),
			"--config=" + kubeletConfig,
			"--kubeconfig=/etc/kubernetes/kubelet.conf",
			"--hostname-override=" + n.Name,
			"--node-ip=" + join(n.IPs()),
			"--root-dir=/var/lib/kubelet",
			"--cert-dir=/var/lib/kubelet/pki",
			"--v=2",
		}},
	}...)
	if s.Options.Proxy == ProxyNFTables {
		out = append(out, supervise.Component{Name: "kube-proxy", Wait: []string{api},
			Argv: []string{s.program("kube-proxy"), "--config=" + proxyConfig, "--hostname-override=" + n.Name}})
	}
	return out
}

// containerdTOML is for containerd 1.6 and later; 2.x reads it too.
func containerdTOML() string {
	return fmt.Sprintf(`version = 2
root = "/var/lib/containerd"
state = "/run/containerd"

[grpc]
  address = %q

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %q
  # Some virtual machines refuse a negative oom_score_adj, and runc then dies
  # with "can't get final child's PID from pipe".
  restrict_oom_score_adj = true
  # As containerd 2 does by default: a Pod may bind port 80 and ping.
  enable_unprivileged_ports = true
  enable_unprivileged_icmp = true

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/opt/cni/bin"
    conf_dir = "/etc/cni/net.d"

  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"

    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"

      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
`, containerdSocket, image.Pause)
}

// kubeletYAML differs from kubeadm's where a node is a namespace: it owns no
// resources, so nothing is reserved and nothing is evicted.
func kubeletYAML(p plan.Plan) string {
	listen := "0.0.0.0"
	if !p.V4() {
		listen = "::"
	}
	return fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: %q
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true, cacheTTL: 2m}
  x509: {clientCAFile: %[2]s/ca.crt}
authorization:
  mode: Webhook
tlsCertFile: %[2]s/kubelet.crt
tlsPrivateKeyFile: %[2]s/kubelet.key
rotateCertificates: false
containerRuntimeEndpoint: unix://%[3]s
cgroupDriver: cgroupfs
cgroupRoot: /
failCgroupV1: false
enforceNodeAllocatable: []
evictionHard: {}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
failSwapOn: false
oomScoreAdj: 0
maxPods: 250
clusterDomain: cluster.local
clusterDNS: [%[4]q]
resolvConf: /etc/resolv.conf
staticPodPath: /etc/kubernetes/manifests
fileCheckFrequency: 2s
volumePluginDir: /var/lib/kubelet/volumeplugins
kubeAPIQPS: 100
kubeAPIBurst: 200
eventRecordQPS: 50
serializeImagePulls: false
logging:
  flushFrequency: 1s
`, listen, pkiDir, containerdSocket, p.DNSService()[0])
}

// proxyYAML leaves the machine's connection tracking limits alone: a namespace
// may not set them.
func proxyYAML(p plan.Plan) string {
	listen := "0.0.0.0"
	if !p.V4() {
		listen = "::"
	}
	return fmt.Sprintf(`apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
bindAddress: %q
clientConnection: {kubeconfig: /etc/kubernetes/kube-proxy.conf}
mode: nftables
clusterCIDR: %q
conntrack: {maxPerCore: 0, min: 0}
oomScoreAdj: 0
nftables: {minSyncPeriod: 100ms, syncPeriod: 30s}
`, listen, join(p.PodCIDRs()))
}

// tunables are settings of the whole machine that a kubelet insists on. The
// node sees them fulfilled, and the host keeps its own.
var tunables = map[string]string{
	"vm/overcommit_memory":      "1",
	"vm/panic_on_oom":           "0",
	"kernel/panic":              "10",
	"kernel/panic_on_oops":      "1",
	"kernel/keys/root_maxkeys":  "1000000",
	"kernel/keys/root_maxbytes": "25000000",
}
