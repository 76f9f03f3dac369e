package doctor

import (
	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

// card gives a node an interface.
func card(node, name, mac, pci string, mtu int32) func(*Snapshot) {
	return func(s *Snapshot) {
		for i := range s.OnNodes {
			if s.OnNodes[i].Name == node {
				s.OnNodes[i].Status.Interfaces = append(s.OnNodes[i].Status.Interfaces, v1alpha1.NodeInterface{Name: name, MAC: mac, PCI: pci, MTU: mtu, Carrier: true})
				return
			}
		}
		s.OnNodes = append(s.OnNodes, v1alpha1.NodeNetwork{ObjectMeta: metav1.ObjectMeta{Name: node}, Status: v1alpha1.NodeNetworkStatus{
			Interfaces: []v1alpha1.NodeInterface{{Name: name, MAC: mac, PCI: pci, MTU: mtu, Carrier: true}}}})
	}
}

// jumbo has blue ask for an MTU, on two nodes that have it by eth1.
func jumbo(mtu, first, second int32) func(*Snapshot) {
	return func(s *Snapshot) {
		onNodes("Ready", "Ready")(s)
		s.Networks[0].Spec.Attachment.MTU = mtu
		for i, has := range []int32{first, second} {
			s.OnNodes[i].Status.Interfaces = []v1alpha1.NodeInterface{{Name: "eth1", MTU: has}}
		}
	}
}

// says has a Pod's network-status say this.
func says(status string) func(*Snapshot) {
	return func(s *Snapshot) { s.podNamed("web1").Annotations[nadv1.NetworkStatusAnnot] = status }
}

// fromDisk adds a Pod that kubelet runs from a file.
func fromDisk(name, image string, env map[string]string, conf string, args ...string) func(*Snapshot) {
	return func(s *Snapshot) {
		p := corev1.Pod{ObjectMeta: named("kube-system", name, name)}
		p.Annotations, p.Labels = map[string]string{"kubernetes.io/config.source": "file"}, map[string]string{"component": name}
		c := corev1.Container{Name: name, Image: image, Command: []string{name}, Args: args}
		for k, v := range env {
			c.Env = append(c.Env, corev1.EnvVar{Name: k, Value: v})
		}
		p.Spec.Containers = []corev1.Container{c}
		if conf != "" {
			p.Spec.Volumes = []corev1.Volume{{Name: "c", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: conf}}}}
		}
		s.Pods = append(s.Pods, p)
	}
}

var elects = map[string]string{"vip_leaderelection": "true", "cp_enable": "true", "address": "192.168.101.50"}

var ownDiagnoses = []diagnosis{
	{"each its own", both(card("n1", "eth0", "02:00:00:00:00:01", "0000:00:03.0", 1500), card("n2", "eth0", "02:00:00:00:00:02", "0000:00:03.0", 1500)), "TSU7113", nil, ""},
	{"a bond and its members", both(card("n1", "eth0", "02:00:00:00:00:01", "0000:00:03.0", 1500), both(card("n1", "eth1", "02:00:00:00:00:01", "0000:00:04.0", 1500), card("n1", "bond0", "02:00:00:00:00:01", "", 1500))), "TSU7113", nil, ""},
	{"bridges without a card", both(card("n1", "br0", "02:00:00:00:00:01", "", 1500), card("n2", "br0", "02:00:00:00:00:01", "", 1500)), "TSU7113", nil, ""},
	{"cloned", both(card("n1", "eth0", "02:00:00:00:00:01", "0000:00:03.0", 1500), card("n2", "eth1", "02:00:00:00:00:01", "0000:00:0b.0", 1500)), "TSU7113",
		[]string{"error | Node n1 | 02:00:00:00:00:01 is the MAC of n1/eth0 and of n2/eth1"}, ""},

	{"it fits", jumbo(9000, 9000, 9000), "TSU7320", nil, ""},
	{"none asked for", jumbo(0, 1500, 1500), "TSU7320", nil, ""},
	{"one is small", jumbo(9000, 9000, 1500), "TSU7320", []string{"error | Network blue | mtu is 9000, and eth1 on node2 has 1500 | lower spec.attachment.mtu"}, ""},

	{"two networks", says(`[{"name":"tsunagu","interface":"eth0","ips":["10.244.1.2"]},{"name":"demo/blue","interface":"net1","ips":["192.168.101.71"]},{"name":"demo/hand","interface":"net2","ips":["10.9.0.1"]}]`), "TSU7315", nil, ""},
	{"twice, without addresses", says(`[{"name":"demo/l2","interface":"net1"},{"name":"demo/l2","interface":"net2"}]`), "TSU7315", nil, ""},
	{"twice", says(`[{"name":"demo/blue","interface":"net1","ips":["192.168.101.71"]},{"name":"demo/blue","interface":"net2","ips":["192.168.101.77"]}]`), "TSU7315",
		[]string{"info | Pod demo/web1 | net1, net2 are all on network demo/blue | sbr"}, ""},

	{"of another", config(`{"type":"macvlan","master":"up1"}`), "TSU7317", nil, ""},
	{"a primary one", config(`{"type":"calico"}`), "TSU7317", []string{"warning | " + hand + ` | "calico" is Calico, and 3 Pods select it | default-network`}, ""},
	{"that nobody selects", func(s *Snapshot) {
		s.Definitions = append(s.Definitions, definition("demo", "primary", `{"type":"cilium-cni"}`))
	}, "TSU7317", nil, ""},

	{"apart", nothing, "TSU7319", nil, ""},
	{"over a podCIDR", func(s *Snapshot) { s.Pools[0] = pool("blue-v4", "blue", "10.244.0.0/16") }, "TSU7319",
		[]string{"warning | IPPool blue-v4 | podCIDR 10.244.1.0/24 of node node1", "warning | IPPool blue-v4 | node2", "warning | IPPool blue-v4 | node3"}, ""},
	{"over a node", func(s *Snapshot) { s.Pools[0] = pool("blue-v4", "blue", "172.20.0.0/30") }, "TSU7319",
		[]string{"warning | IPPool blue-v4 | 172.20.0.1, the address of node node1 | exclude", "warning | IPPool blue-v4 | 172.20.0.2"}, ""},
	{"over a node, which is excluded", func(s *Snapshot) {
		s.Pools[0] = pool("blue-v4", "blue", "172.20.0.0/30")
		s.Pools[0].Spec.Exclude = []string{"172.20.0.0/30"}
	}, "TSU7319", nil, ""},
	{"over a Service", func(s *Snapshot) {
		s.Services = append(s.Services, corev1.Service{ObjectMeta: named("default", "kubernetes", "k"), Spec: corev1.ServiceSpec{ClusterIPs: []string{"192.168.101.9"}}})
	}, "TSU7319", []string{"warning | IPPool blue-v4 | 192.168.101.9, the address of Service default/kubernetes"}, ""},

	{"with a kubeconfig", fromDisk("kube-vip", "ghcr.io/kube-vip/kube-vip:v1.0.0", elects, "/etc/kubernetes/admin.conf"), "TSU7408", nil, ""},
	{"without election", fromDisk("kube-vip", "ghcr.io/kube-vip/kube-vip:v1.0.0", map[string]string{"bgp_enable": "true"}, ""), "TSU7408", nil, ""},
	{"no kubeconfig", fromDisk("kube-vip", "ghcr.io/kube-vip/kube-vip:v1.0.0", elects, ""), "TSU7408", []string{"error | Pod kube-system/kube-vip | mounts no *.conf | tsunagu vip import"}, ""},

	{"outside", fromDisk("kube-vip", "ghcr.io/kube-vip/kube-vip:v1.0.0", map[string]string{"address": "192.168.102.50"}, ""), "TSU7411", nil, ""},
	{"in a pool", both(fromDisk("kube-vip", "ghcr.io/kube-vip/kube-vip:v1.0.0", elects, ""), fromDisk("kube-vip2", "ghcr.io/kube-vip/kube-vip:v1.0.0", elects, "")), "TSU7411",
		[]string{"error | IPPool blue-v4 | 192.168.101.50, which Pod kube-system/kube-vip keeps | add 192.168.101.50 to exclude"}, ""},
	{"ours, in a pool", fromDisk("tsunagu-vip", "ghcr.io/tsunagu-net/tsunagu:v0.1.0", nil, "", "--address=fd00::1,192.168.101.51"), "TSU7411",
		[]string{"error | IPPool blue-v4 | 192.168.101.51"}, ""},

	{"with a key", fromDisk("kube-controller-manager", "kcm", nil, "", "--service-account-private-key-file=/etc/kubernetes/pki/sa.key"), "TSU7413", nil, ""},
	{"without", fromDisk("kube-controller-manager", "kcm", nil, ""), "TSU7413", []string{"warning | Pod kube-system/kube-controller-manager | sa.key"}, ""},
}
