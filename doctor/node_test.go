package doctor

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func nothing(*Snapshot) {}

func crashing(p *corev1.Pod) {
	p.Status.Conditions[0].Status = corev1.ConditionFalse
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: "agent", RestartCount: 7,
		State:                corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}},
		LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "OOMKilled", ExitCode: 137}},
	}}
}

var nodeDiagnoses = []diagnosis{
	{"all there", nothing, "TSU1001", nil, ""},
	{"agent left out a tainted node", func(s *Snapshot) {
		s.removePod("tsunagu-agent-node2")
		s.Nodes[1].Spec.Taints = []corev1.Taint{{Key: "gpu", Effect: corev1.TaintEffectNoSchedule}, {Key: "soft", Effect: corev1.TaintEffectPreferNoSchedule}}
	}, "TSU1001", []string{"error | Node node2 | tainted gpu:NoSchedule | describe daemonset tsunagu-agent"}, ""},
	{"agent Pod has ended", func(s *Snapshot) { s.podNamed("tsunagu-agent-node2").Status.Phase = corev1.PodFailed },
		"TSU1001", []string{"error | Node node2 | no agent Pod"}, ""},
	{"not installed", func(s *Snapshot) { s.DaemonSets = nil },
		"TSU1001", []string{"error | DaemonSet tsunagu-system/tsunagu-agent | not installed | kubectl apply"}, ""},
	{"virtual node", func(s *Snapshot) {
		s.Nodes = append(s.Nodes, corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "v", Labels: map[string]string{"type": "virtual-kubelet"}}})
	}, "TSU1001", nil, ""},

	{"ready", nothing, "TSU1002", nil, ""},
	{"killed for memory", func(s *Snapshot) { crashing(s.podNamed("tsunagu-agent-node3")) },
		"TSU1002", []string{"error | Node node3 | CrashLoopBackOff | OOMKilled | 137 | 7 restarts | logs tsunagu-agent-node3"}, ""},
	{"starting", func(s *Snapshot) {
		p := s.podNamed("tsunagu-agent-node3")
		crashing(p)
		p.CreationTimestamp = metav1.NewTime(now.Add(-5e9))
	}, "TSU1002", nil, ""},
	{"condition says why", func(s *Snapshot) {
		s.podNamed("tsunagu-agent-node1").Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse, Message: "overlay device is missing"}}
	}, "TSU1002", []string{"error | Node node1 | overlay device is missing"}, ""},
	{"an old one goes while the new one is ready", func(s *Snapshot) {
		gone := agent("node1")
		gone.Name, gone.DeletionTimestamp = "tsunagu-agent-old", &old
		crashing(&gone)
		s.Pods = append(s.Pods, gone)
	}, "TSU1002", nil, ""},

	{"one version", nothing, "TSU1003", nil, ""},
	{"one node was left behind", func(s *Snapshot) {
		s.podNamed("tsunagu-agent-node2").Spec.Containers[0].Image = "ghcr.io/tsunagu-net/tsunagu:v0.0.9"
	}, "TSU1003", []string{"warning | DaemonSet tsunagu-system/tsunagu-agent | v0.0.9 on node2 | v0.1.0 on node1, node3"}, ""},
	{"one image, two versions inside", func(s *Snapshot) { s.reports(func(r *AgentReport) { r.Version = "v0.1.1-dirty" }) },
		"TSU1003", []string{"warning | DaemonSet tsunagu-system/tsunagu-agent | v0.1.1-dirty on node1"}, ""},

	{"all answered", nothing, "TSU1004", nil, ""},
	{"one did not", func(s *Snapshot) { s.Silent = map[string]string{"node2": "timeout"} },
		"TSU1004", []string{"info | Node node2 | timeout"}, ""},
	{"one did not, being not ready", func(s *Snapshot) {
		s.Silent = map[string]string{"node2": "timeout"}
		crashing(s.podNamed("tsunagu-agent-node2"))
	}, "TSU1004", []string{"info | Node node2 | timeout"}, "TSU1002"},

	{"all have one", nothing, "TSU1101", nil, ""},
	{"one has none", func(s *Snapshot) { s.Nodes[2].Spec.PodCIDRs = nil },
		"TSU1101", []string{"error | Node node3 | podCIDRs is empty | --allocate-node-cidrs"}, ""},
	{"old field only", func(s *Snapshot) { s.Nodes[2].Spec.PodCIDRs, s.Nodes[2].Spec.PodCIDR = nil, "10.244.9.0/24" }, "TSU1101", nil, ""},

	{"disjoint", nothing, "TSU1102", nil, ""},
	{"one inside the other", func(s *Snapshot) { s.Nodes[2].Spec.PodCIDRs = []string{"10.244.0.0/22"} },
		"TSU1102", []string{"error | Node node3 | 10.244.0.0/22 overlaps 10.244.1.0/24 of node node1", "error | Node node3 | 10.244.2.0/24 of node node2"}, ""},
	{"the second family", func(s *Snapshot) { s.Nodes[1].Spec.PodCIDRs = []string{"10.244.2.0/24", "fd00:244:1::/64"} },
		"TSU1102", []string{"error | Node node2 | fd00:244:1::/64"}, ""},

	{"all have one", nothing, "TSU1103", nil, ""},
	{"only a name", func(s *Snapshot) {
		s.Nodes[0].Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: "node1"}, {Type: corev1.NodeExternalIP, Address: "203.0.113.7"}}
	}, "TSU1103", []string{"error | Node node1 | no InternalIP | --node-ip"}, ""},
}
