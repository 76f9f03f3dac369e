package cluster

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"

	"github.com/tsunagu-net/tsunagu/lab/plan"
	"github.com/tsunagu-net/tsunagu/lab/supervise"
)

// Ports on which nodes listen; they have namespaces of their own, so all labs
// use the same ones.
const (
	apiPort = "6443"
	// localAPIPort is where a worker of a lab with several control planes finds
	// one that answers.
	localAPIPort = "7445"
)

// pkiDir is where a node has its keys, as kubeadm places them.
const pkiDir = "/etc/kubernetes/pki"

func url(ip netip.Addr, port string) string {
	return "https://" + net.JoinHostPort(ip.String(), port)
}

func join[T fmt.Stringer](list []T) string {
	s := make([]string, len(list))
	for i, v := range list {
		s[i] = v.String()
	}
	return strings.Join(s, ",")
}

// program is the path of one of Kubernetes' programs.
func (s state) program(name string) string { return filepath.Join(s.Programs, name) }

// controlPlane renders etcd, API server, controller manager and scheduler of a
// node. Options follow kubeadm where it has an opinion.
func controlPlane(s state, p plan.Plan, n Node) []supervise.Component {
	ip := n.Addresses[0].Addr()
	members := s.controlPlanes()
	var initial []string
	for _, m := range members {
		initial = append(initial, m.Name+"="+url(m.Addresses[0].Addr(), "2380"))
	}
	pki := func(f string) string { return pkiDir + "/" + f }
	listen := "0.0.0.0"
	if !p.V4() {
		listen = "::"
	}
	// One leader needs no election, and waiting for a lease after each restart
	// would make every test of a restart 15 s longer.
	elect := fmt.Sprintf("--leader-elect=%t", len(members) > 1)

	etcd := supervise.Component{Name: "etcd", Argv: []string{s.program("etcd"),
		"--name=" + n.Name,
		"--data-dir=/var/lib/etcd",
		"--listen-client-urls=https://127.0.0.1:2379," + url(ip, "2379"),
		"--advertise-client-urls=" + url(ip, "2379"),
		"--listen-peer-urls=" + url(ip, "2380"),
		"--initial-advertise-peer-urls=" + url(ip, "2380"),
		"--initial-cluster=" + strings.Join(initial, ","),
		"--initial-cluster-state=new",
		"--listen-metrics-urls=http://127.0.0.1:2381",
		"--client-cert-auth=true",
		"--trusted-ca-file=" + pki("etcd/ca.crt"),
		"--cert-file=" + pki("etcd/server.crt"),
		"--key-file=" + pki("etcd/server.key"),
		"--peer-client-cert-auth=true",
		"--peer-trusted-ca-file=" + pki("etcd/ca.crt"),
		"--peer-cert-file=" + pki("etcd/peer.crt"),
		"--peer-key-file=" + pki("etcd/peer.key"),
	}}
	if len(members) > 1 {
		// A lost leader is to be replaced about as fast as the address moves; etcd's defaults (100 ms, 1 s) are for members that are far apart.
		etcd.Argv = append(etcd.Argv, "--heartbeat-interval=50", "--election-timeout=300")
	}
	apiserver := supervise.Component{Name: "kube-apiserver", Wait: []string{"tcp:127.0.0.1:2379"}, Argv: []string{s.program("kube-apiserver"),
		"--advertise-address=" + ip.String(),
		"--bind-address=" + listen,
		"--secure-port=" + apiPort,
		"--allow-privileged=true",
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--enable-bootstrap-token-auth=true",
		// An aggregated API or a webhook is reached by its Pods' addresses, so
		// it works with and without kube-proxy.
		"--enable-aggregator-routing=true",
		"--client-ca-file=" + pki("ca.crt"),
		"--tls-cert-file=" + pki("apiserver.crt"),
		"--tls-private-key-file=" + pki("apiserver.key"),
		"--etcd-servers=https://127.0.0.1:2379",
		"--etcd-cafile=" + pki("etcd/ca.crt"),
		"--etcd-certfile=" + pki("apiserver-etcd-client.crt"),
		"--etcd-keyfile=" + pki("apiserver-etcd-client.key"),
		"--kubelet-certificate-authority=" + pki("ca.crt"),
		"--kubelet-client-certificate=" + pki("apiserver-kubelet-client.crt"),
		"--kubelet-client-key=" + pki("apiserver-kubelet-client.key"),
		"--kubelet-preferred-address-types=InternalIP,Hostname",
		"--proxy-client-cert-file=" + pki("front-proxy-client.crt"),
		"--proxy-client-key-file=" + pki("front-proxy-client.key"),
		"--requestheader-client-ca-file=" + pki("front-proxy-ca.crt"),
		"--requestheader-allowed-names=front-proxy-client",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-username-headers=X-Remote-User",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + pki("sa.pub"),
		"--service-account-signing-key-file=" + pki("sa.key"),
		"--service-cluster-ip-range=" + join(p.ServiceCIDRs()),
	}}
	manager := supervise.Component{Name: "kube-controller-manager", Wait: []string{"tcp:" + net.JoinHostPort(ip.String(), apiPort)},
		Argv: append([]string{s.program("kube-controller-manager"),
			"--kubeconfig=/etc/kubernetes/controller-manager.conf",
			"--authentication-kubeconfig=/etc/kubernetes/controller-manager.conf",
			"--authorization-kubeconfig=/etc/kubernetes/controller-manager.conf",
			"--bind-address=127.0.0.1",
			elect,
			"--allocate-node-cidrs=true",
			"--cluster-cidr=" + join(p.PodCIDRs()),
			"--service-cluster-ip-range=" + join(p.ServiceCIDRs()),
			"--cluster-name=" + s.Options.Name,
			"--controllers=*,bootstrapsigner,tokencleaner",
			"--client-ca-file=" + pki("ca.crt"),
			"--cluster-signing-cert-file=" + pki("ca.crt"),
			"--cluster-signing-key-file=" + pki("ca.key"),
			"--root-ca-file=" + pki("ca.crt"),
			"--requestheader-client-ca-file=" + pki("front-proxy-ca.crt"),
			"--service-account-private-key-file=" + pki("sa.key"),
			"--use-service-account-credentials=true",
			"--kube-api-qps=100",
			"--kube-api-burst=200",
		}, nodeMasks(p)...)}
	scheduler := supervise.Component{Name: "kube-scheduler", Wait: manager.Wait, Argv: []string{s.program("kube-scheduler"),
		"--kubeconfig=/etc/kubernetes/scheduler.conf",
		"--authentication-kubeconfig=/etc/kubernetes/scheduler.conf",
		"--authorization-kubeconfig=/etc/kubernetes/scheduler.conf",
		"--bind-address=127.0.0.1",
		elect,
		"--kube-api-qps=100",
		"--kube-api-burst=200",
	}}
	return []supervise.Component{etcd, apiserver, manager, scheduler}
}

// nodeMasks gives every node a /24 and a /64. With one family the controller
// manager wants the option under another name.
func nodeMasks(p plan.Plan) []string {
	switch p.Family {
	case plan.IPv4:
		return []string{"--node-cidr-mask-size=24"}
	case plan.IPv6:
		return []string{"--node-cidr-mask-size=64"}
	}
	return []string{"--node-cidr-mask-size-ipv4=24", "--node-cidr-mask-size-ipv6=64"}
}
