package doctor

import (
	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"
)

func events(message string) func(*Snapshot) {
	return func(s *Snapshot) {
		s.Events = append(s.Events, warning("web9", "kubelet", "FailedCreatePodSandBox", message))
	}
}

// file adds a file of a node.
func file(name, text string) func(*Snapshot) {
	return func(s *Snapshot) { s.Texts = append(s.Texts, Text{name, text}) }
}

func lanFile(node, from, to string) func(*Snapshot) {
	return file(node+"/lan.conf", `{"cniVersion":"0.3.1","name":"lan","type":"macvlan","ipam":{"type":"host-local","ranges":[[{"subnet":"192.168.1.0/24","rangeStart":"`+from+`","rangeEnd":"`+to+`"}]]}}`)
}

func hostLocal(annotation string) func(*Snapshot) {
	return func(s *Snapshot) {
		d := definition("demo", "lan", `{"cniVersion":"0.3.1","name":"lan","type":"macvlan","master":"eth1","ipam":{"type":"host-local","subnet":"192.168.1.0/24"}}`)
		if annotation != "" {
			d.Annotations = map[string]string{"tsunagu.dev/host-local": annotation}
		}
		s.Definitions = append(s.Definitions, d)
	}
}

func fixed(spec string) func(*Snapshot) {
	return func(s *Snapshot) {
		d := appsv1.Deployment{ObjectMeta: named("demo", "fixed", "fixed")}
		if err := yaml.Unmarshal([]byte(spec), &d.Spec); err != nil {
			panic(err)
		}
		d.Spec.Template.Annotations = map[string]string{nadv1.NetworkAttachmentAnnot: `[{"name":"lan","ips":["192.168.1.201"]}]`}
		s.Deployments = append(s.Deployments, d)
	}
}

func daemon(name string, env ...corev1.EnvVar) func(*Snapshot) {
	return func(s *Snapshot) {
		d := appsv1.DaemonSet{ObjectMeta: named("kube-system", name, name)}
		d.Spec.Template.Spec.Containers = []corev1.Container{{Name: name, Env: env}}
		s.DaemonSets = append(s.DaemonSets, d)
	}
}

func mounts(path string) func(*Snapshot) {
	return func(s *Snapshot) {
		s.podNamed("web1").Spec.Volumes = []corev1.Volume{{Name: "kubeconfig", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: path}}}}
	}
}

func policyIn(namespace string) func(*Snapshot) {
	return func(s *Snapshot) {
		s.Policies = append(s.Policies, networkingv1.NetworkPolicy{ObjectMeta: named(namespace, "deny", "deny")})
	}
}

var keepsVIP = daemon("kube-vip", corev1.EnvVar{Name: "cp_enable", Value: "true"}, corev1.EnvVar{Name: "address", Value: "10.0.0.10"})

func asksAt(host string) func(*Snapshot) {
	return daemon("cilium", corev1.EnvVar{Name: "KUBERNETES_SERVICE_HOST", Value: host})
}

const onWeb9 = "error | Pod demo/web9 | "

var aroundDiagnoses = []diagnosis{
	{"of another namespace", policyIn("default"), "TSU7210", nil, ""},
	{"of these Pods", policyIn("demo"), "TSU7210", []string{"info | NetworkPolicy demo/deny | 3 Pods"}, ""},
	{"for the cluster", hostLocal("cluster"), "TSU7301", nil, ""},
	{"on a shared segment", hostLocal(""), "TSU7301", nil, ""},
	{"by node", hostLocal("node"), "TSU7301", []string{"error | NetworkAttachmentDefinition demo/lan | 3 nodes | tsunagu.dev/host-local=cluster"}, ""},
	{"split", both(lanFile("n1", "192.168.1.100", "192.168.1.149"), lanFile("n2", "192.168.1.150", "192.168.1.199")), "TSU7304", nil, ""},
	{"overlapping", both(lanFile("n1", "192.168.1.100", "192.168.1.150"), lanFile("n2", "192.168.1.150", "192.168.1.199")), "TSU7304", []string{"error | File n2/lan.conf | in n1/lan.conf"}, ""},
	{"split, and not read", both(hostLocal("cluster"), lanFile("n1", "192.168.1.100", "192.168.1.149")), "TSU7304", []string{"error | File n1/lan.conf | demo/lan has a config"}, ""},
	{"in range", events("something else"), "TSU7305", nil, ""},
	{"not in range", events("plugin type=\"macvlan\" failed (add): failed to allocate all requested IPs: 192.168.1.99"), "TSU7305", []string{onWeb9 + "192.168.1.99"}, ""},
	{"one at a time", fixed("{replicas: 1, strategy: {type: Recreate}}"), "TSU7307", nil, ""},
	{"two in an update", fixed("{replicas: 1}"), "TSU7307", []string{"warning | Deployment demo/fixed | 192.168.1.201 | Recreate"}, ""},
	{"three", fixed("{replicas: 3}"), "TSU7307", []string{"error | Deployment demo/fixed | 3 Pods"}, ""},
	{"another error", events("something else"), "TSU7308", nil, ""},
	{"no static", events(`failed to find plugin "static" in path [/opt/cni/bin]`), "TSU7308", []string{onWeb9 + "\"static\""}, ""},
	{"another error", events("something else"), "TSU7309", nil, ""},
	{"no eth1", events(`failed to lookup master "eth1": Link not found`), "TSU7309", []string{onWeb9 + "eth1"}, ""},
	{"another error", events("something else"), "TSU7311", nil, ""},
	{"no daemon", events("error calling DHCP.Allocate: error dialing DHCP daemon: dial unix /run/cni/dhcp.sock"), "TSU7311", []string{onWeb9 + "dhcp.sock"}, ""},
	{"another error", logged("leases are fine"), "TSU7401", nil, ""},
	{"1.29", logged(`E0101 leaderelection.go:332] error retrieving resource lock kube-system/plndr-cp-lock: leases.coordination.k8s.io "plndr-cp-lock" is forbidden: User "kubernetes-admin" cannot get resource "leases"`),
		"TSU7401", []string{"error | File x.log | kubernetes-admin | super-admin.conf"}, ""},
	{"admin", mounts("/etc/kubernetes/admin.conf"), "TSU7402", nil, ""},
	{"super-admin", mounts("/etc/kubernetes/super-admin.conf"), "TSU7402", []string{"warning | Pod demo/web1 | admin.conf"}, ""},
	{"its own API server", both(keepsVIP, asksAt("127.0.0.1")), "TSU7404", nil, ""},
	{"each waits", both(keepsVIP, asksAt("10.0.0.10")), "TSU7404", []string{"error | DaemonSet kube-system/cilium | kube-system/kube-vip | 127.0.0.1"}, ""},
	{"one interface", file("n1/sysctl.txt", "net.ipv4.conf.lo.arp_ignore = 1\nnet.ipv4.conf.all.arp_ignore = 0\n"), "TSU7501", nil, ""},
	{"all interfaces", file("n1/sysctl.txt", "net.ipv4.conf.all.arp_ignore = 1\n"), "TSU7501", []string{"warning | File n1/sysctl.txt | arp_ignore = 1"}, ""},
	{"found", logged("Found network config - Backend type: vxlan"), "TSU7505", nil, ""},
	{"not found", logged("E0101 main.go:386] Couldn't fetch network config: 100: Key not found (/coreos.com) [5]"), "TSU7505", []string{"error | File x.log | /coreos.com"}, ""},
}
