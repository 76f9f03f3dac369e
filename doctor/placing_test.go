package doctor

import (
	"time"

	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

// reaches has Network blue, and red beside it, on some nodes only.
func reaches(blue, red []int) func(*Snapshot) {
	return func(s *Snapshot) {
		s.Networks[0].Spec.Reach = &v1alpha1.Reach{Interface: "eth1"}
		s.Networks = append(s.Networks, v1alpha1.Network{ObjectMeta: named("", "red", "red"), Spec: v1alpha1.NetworkSpec{Reach: &v1alpha1.Reach{Interface: "eth2"}}})
		d := definition("demo", "red", `{"type":"macvlan","master":"eth2"}`)
		d.Labels = map[string]string{v1alpha1.NetworkLabel: "red"}
		s.Definitions = append(s.Definitions, d)
		for name, nodes := range map[string][]int{"blue": blue, "red": red} {
			for _, i := range nodes {
				if s.Nodes[i].Labels == nil {
					s.Nodes[i].Labels = map[string]string{}
				}
				s.Nodes[i].Labels[v1alpha1.NetworkReadyPrefix+name] = v1alpha1.NetworkReadyValue
			}
		}
	}
}

// asks adds a Pod that waits for a node; each of terms is what one term of its node affinity asks for.
func asks(networks string, terms ...string) func(*Snapshot) {
	return func(s *Snapshot) {
		p := corev1.Pod{ObjectMeta: named("demo", "new", "uid-new")}
		p.Annotations = map[string]string{nadv1.NetworkAttachmentAnnot: networks}
		p.Status.Phase = corev1.PodPending
		if len(terms) > 0 {
			required := &corev1.NodeSelector{}
			for _, t := range terms {
				required.NodeSelectorTerms = append(required.NodeSelectorTerms, corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{
					{Key: t, Operator: corev1.NodeSelectorOpIn, Values: []string{"ready"}}}})
			}
			p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: required}}
		}
		s.Pods = append(s.Pods, p)
	}
}

// change changes the Pod that asks added.
func change(what func(*corev1.Pod)) func(*Snapshot) {
	return func(s *Snapshot) { what(s.podNamed("new")) }
}

// lacks has a node say that it has not a Network.
func lacks(node, network string) func(*Snapshot) {
	return func(s *Snapshot) {
		s.OnNodes = append(s.OnNodes, v1alpha1.NodeNetwork{ObjectMeta: metav1.ObjectMeta{Name: node}, Status: v1alpha1.NodeNetworkStatus{
			Networks: []v1alpha1.NodeNetworkState{{Name: network, Phase: v1alpha1.NetworkPhaseMissing, Reason: "NoInterface", Message: "there is no eth1"}}}})
	}
}

const blueKey = v1alpha1.NetworkReadyPrefix + "blue"

func behind(line string) func(*Snapshot) {
	return func(s *Snapshot) { s.Texts = append(s.Texts, Text{Name: "log of x", Text: "fine\n" + line + "\n"}) }
}

var placingDiagnoses = []diagnosis{
	{"asked for", both(reaches([]int{0}, nil), asks("blue", blueKey)), "TSU7201", nil, ""},
	{"everywhere", both(reaches([]int{0, 1, 2}, nil), asks("blue")), "TSU7201", nil, ""},
	{"by a node selector", both(reaches([]int{0}, nil), both(asks("blue"), change(func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{blueKey: "ready"} }))), "TSU7201", nil, ""},
	{"has a node", both(reaches([]int{0}, nil), both(asks("blue"), change(func(p *corev1.Pod) { p.Spec.NodeName = "node1" }))), "TSU7201", nil, ""},
	{"not asked for", both(reaches([]int{0}, nil), asks("blue")), "TSU7201",
		[]string{"warning | Pod demo/new | Network blue is on 1 node of 3, and the Pod has no node affinity for it | kubectl delete pod"}, ""},
	{"an alternative", both(reaches([]int{0, 1}, nil), asks("blue", blueKey, "zone")), "TSU7201", []string{"warning | Pod demo/new | on 2 nodes of 3, and term 2 of its node affinity"}, ""},

	{"on a good node", both(reaches([]int{0}, nil), lacks("node2", "red")), "TSU7202", nil, ""},
	{"on a node without", both(reaches([]int{0}, nil), lacks("node2", "blue")), "TSU7202",
		[]string{"error | Pod demo/web2 | it is on node2, which has not Network blue: there is no eth1 | it is scheduled to one of node1"}, ""},
	{"nowhere", both(reaches(nil, nil), lacks("node2", "blue")), "TSU7202", []string{"error | Pod demo/web2 | bring the node onto the network"}, ""},

	{"gated for a moment", both(asks("blue"), change(func(p *corev1.Pod) {
		p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: v1alpha1.NetworkGate}}
		p.CreationTimestamp = metav1.NewTime(now.Add(-3 * time.Minute))
	})), "TSU7206", nil, ""},
	{"gated by others", both(asks("blue"), change(func(p *corev1.Pod) { p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "queue"}} })), "TSU7206", nil, ""},
	{"gated for ever", both(both(reaches(nil, nil), asks("blue")), func(s *Snapshot) {
		s.podNamed("new").Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: v1alpha1.NetworkGate}}
		s.Networks[0].Status.Conditions = []metav1.Condition{{Type: "PortGroup", Status: "False", Message: "the vCenter does not answer"}}
	}), "TSU7206", []string{"warning | Pod demo/new | gate tsunagu.dev/network is 1h0m0s old; Network blue: the vCenter does not answer"}, ""},

	{"together", both(reaches([]int{0, 1}, []int{1}), asks("blue,red", blueKey)), "TSU7208", nil, ""},
	{"one alone", both(reaches([]int{0}, []int{1}), asks("blue", blueKey)), "TSU7208", nil, ""},
	{"nowhere together", both(reaches([]int{0}, []int{1, 2}), asks("blue,red", blueKey)), "TSU7208",
		[]string{"error | Pod demo/new | blue is on node1, red is on node2, node3 | bring one node onto all 2"}, ""},
	{"one is nowhere", both(reaches([]int{0}, nil), asks("blue,red", blueKey)), "TSU7208", nil, ""},

	{"flannel once", config(`{"type":"flannel"}`), "TSU7324", nil, ""},
	{"flannel with two files", func(s *Snapshot) {
		s.Definitions = append(s.Definitions, definition("demo", "f1", `{"type":"flannel","subnetFile":"/run/a"}`), definition("demo", "f2", `{"type":"flannel"}`))
	}, "TSU7324", nil, ""},
	{"flannel twice", func(s *Snapshot) {
		s.Definitions = append(s.Definitions, definition("demo", "f1", `{"plugins":[{"type":"flannel","delegate":{}}]}`), definition("demo", "f2", `{"type":"flannel"}`))
	}, "TSU7324", []string{"warning | NetworkAttachmentDefinition demo/f2 | demo/f1, demo/f2 all read /run/flannel/subnet.env"}, ""},

	{"other lines", behind("allocated 10.9.0.5"), "TSU7306", nil, ""},
	{"taken", behind(`plugin type="macvlan" failed (add): failed to allocate for range 0: requested IP address 10.9.0.5 is not available in range set 10.9.0.1-10.9.0.254`), "TSU7306",
		[]string{"error | Log x | requested IP address 10.9.0.5"}, ""},
	{"not full", behind("IP addresses available: 12"), "TSU7312", nil, ""},
	{"a version", behind("CNI version 1.1.0"), "TSU7313", nil, ""},
	{"another answer", behind("RTNETLINK answers: File exists"), "TSU7318", nil, ""},
	{"a device", behind("device spec is complete"), "TSU7119", nil, ""},
	{"Cilium works", behind("Establishing connection to apiserver"), "TSU7405", nil, ""},
	{"another fault of a certificate", behind("x509: certificate signed by unknown authority"), "TSU7410", nil, ""},
	{"full", behind(`failed to allocate for range 0: no IP addresses available in range set: 10.9.0.1-10.9.0.6`), "TSU7312", []string{"error | Log x | 10.9.0.1-10.9.0.6 | crictl"}, ""},
	{"too new", behind(`incompatible CNI versions; config is "1.1.0", plugin supports ["0.1.0" "1.0.0"]`), "TSU7313", []string{"error | Log x | config is \"1.1.0\""}, ""},
	{"may not", behind(`RTNETLINK answers: Operation not permitted`), "TSU7318", []string{"warning | Log x | k8s.v1.cni.cncf.io/networks"}, ""},
	{"Cilium waits", behind(`level=error msg="Unable to contact k8s api-server" error="Get \"https://10.96.0.1:443/api/v1/namespaces/kube-system\": dial tcp 10.96.0.1:443: i/o timeout"`), "TSU7405",
		[]string{"error | Log x | 10.96.0.1:443 | k8sServiceHost"}, ""},
	{"another name", behind(`tls: failed to verify certificate: x509: certificate is valid for 10.96.0.1, 10.0.0.11, not 10.0.0.100`), "TSU7410", []string{"error | Log x | not 10.0.0.100 | certSANs"}, ""},
	{"too early", behind(`E0101 vspherevm_controller: unknown device spec index 2`), "TSU7119", []string{"warning | Log x | unknown device spec index 2"}, ""},
}
