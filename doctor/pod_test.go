package doctor

import (
	corev1 "k8s.io/api/core/v1"
)

func stuck(networks string, events ...corev1.Event) func(*Snapshot) {
	return func(s *Snapshot) {
		s.Pods = append(s.Pods, waiting("stuck", networks))
		s.Events = append(s.Events, events...)
	}
}

func annotate(pod, key, value string) func(*Snapshot) {
	return func(s *Snapshot) { s.podNamed(pod).Annotations["k8s.v1.cni.cncf.io/"+key] = value }
}

var refusal = warning("stuck", "tsunagu-agent", "OutOfRange", "192.168.99.9 is outside 192.168.101.0/24. To fix: ask for an address of the range")

var podDiagnoses = []diagnosis{
	{"none refused", nothing, "TSU4001", nil, ""},
	{"refused", stuck("blue", refusal),
		"TSU4001", []string{"error | Pod demo/stuck | OutOfRange: 192.168.99.9 is outside 192.168.101.0/24 | ask for an address of the range"}, ""},
	{"was refused, runs now", func(s *Snapshot) {
		stuck("blue", refusal)(s)
		p := s.podNamed("stuck")
		p.Status.Phase, p.Status.PodIP = corev1.PodRunning, "10.244.1.9"
	}, "TSU4001", nil, ""},
	{"refused was another Pod of the name", func(s *Snapshot) {
		e := refusal
		e.InvolvedObject.UID = "another"
		stuck("blue", e)(s)
	}, "TSU4001", nil, ""},
	{"follows from a full pool", func(s *Snapshot) {
		stuck("blue", warning("stuck", "tsunagu-agent", "PoolFull", "254 of 254 are in use"))(s)
		s.Pools[0].Status.Used, s.Pools[0].Status.Free = 254, 0
	}, "TSU4001", []string{"error | Pod demo/stuck | PoolFull | docs/errors.md"}, "TSU5002"},
	{"follows from an unknown network", stuck("bleu", warning("stuck", "tsunagu-agent", "UnknownNetwork", "no bleu")),
		"TSU4001", []string{"error | Pod demo/stuck | UnknownNetwork"}, "TSU4002"},
	{"follows from a broken definition", func(s *Snapshot) {
		stuck("hand", warning("stuck", "tsunagu-agent", "BadNetworkConfig", "broken"))(s)
		s.Definitions[1].Spec.Config = "{"
	}, "TSU4001", []string{"error | Pod demo/stuck | BadNetworkConfig"}, "TSU3101"},

	{"all known", nothing, "TSU4002", nil, ""},
	{"letters swapped", stuck("bleu"), "TSU4002", []string{"error | Pod demo/stuck | no NetworkAttachmentDefinition bleu in namespace demo; did you mean blue?"}, ""},
	{"a namespace that is not permitted", stuck("default/blue"),
		"TSU4002", []string{"error | Pod demo/stuck | in namespace default | Network blue exists and does not permit namespace default"}, ""},
	{"runs already", annotate("web1", "networks", "gone"), "TSU4002", []string{"warning | Pod demo/web1 | gone"}, ""},
	{"on the node's network", func(s *Snapshot) {
		stuck("bleu")(s)
		s.podNamed("stuck").Spec.HostNetwork = true
	}, "TSU4002", nil, ""},

	{"all read", nothing, "TSU4003", nil, ""},
	{"a comma too many", stuck(`[{"name":"blue",]`), "TSU4003", []string{"error | Pod demo/stuck | line 1, column 17"}, ""},
	{"a name is missing", stuck(`[{"namespace":"x"}]`), "TSU4003", []string{"error | Pod demo/stuck | element 1 has no name"}, ""},

	{"all there", nothing, "TSU4004", nil, ""},
	{"started without", annotate("web2", "network-status", `[{"name":"tsunagu","interface":"eth0","ips":["10.244.2.5"],"default":true}]`),
		"TSU4004", []string{"error | Pod demo/web2 | demo/blue, demo/hand | delete pod web2"}, ""},
	{"asks twice, has it once", annotate("web2", "networks", "blue,blue@b,hand"), "TSU4004", []string{"error | Pod demo/web2 | asks for demo/blue and"}, ""},
	{"another plugin started it", func(s *Snapshot) {
		annotate("web1", "network-status", "")(s)
		s.reports(func(r *AgentReport) { r.Configs = []string{"00-other.conf", "00-tsunagu.conflist"} })
	}, "TSU4004", []string{"error | Pod demo/web1 | no network-status at all"}, "TSU6001"},

	{"none", nothing, "TSU4005", nil, ""},
	{"the shim did not reach the agent", func(s *Snapshot) {
		stuck("blue", warning("stuck", "kubelet", "FailedCreatePodSandBox",
			`Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox "abc": plugin type="tsunagu-cni" failed (add): try again later`))(s)
		crashing(s.podNamed("tsunagu-agent-node1"))
	}, "TSU4005", []string{`error | Pod demo/stuck | plugin type="tsunagu-cni" failed (add): try again later`}, "TSU1002"},
	{"the runtime lacks its own plugin", stuck("", warning("stuck", "kubelet", "FailedCreatePodSandBox",
		`rpc error: code = Unknown desc = failed to setup network for sandbox "abc": plugin type="loopback" failed (add): failed to find plugin "loopback" in path [/opt/cni/bin]`)),
		"TSU4005", []string{`error | Pod demo/stuck | failed to find plugin "loopback" | install the reference plugin loopback on node node1`}, ""},
	{"said by tsunagu already", stuck("blue", refusal, warning("stuck", "kubelet", "FailedCreatePodSandBox", "x")), "TSU4005", nil, ""},
}
