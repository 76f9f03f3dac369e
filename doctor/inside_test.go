package doctor

var insideDiagnoses = []diagnosis{
	{"ours is first", nothing, "TSU6001", nil, ""},
	{"another is first", func(s *Snapshot) {
		s.reports(func(r *AgentReport) { r.Configs = []string{"10-x.conf", "00-tsunagu.conflist", "00-multus.conf"} })
	}, "TSU6001", []string{"error | Node node1 | uses 00-multus.conf before 00-tsunagu.conflist"}, ""},
	{"ours is gone", func(s *Snapshot) { s.reports(func(r *AgentReport) { r.Configs = []string{"05-cilium.conflist"} }) },
		"TSU6001", []string{"error | Node node1 | 05-cilium.conflist | restart the agent"}, ""},
	{"not reported", func(s *Snapshot) { s.reports(func(r *AgentReport) { r.Configs = nil }) }, "TSU6001", nil, ""},

	{"kube-proxy", nothing, "TSU6002", nil, ""},
	{"nobody", func(s *Snapshot) { none := "none"; s.reports(func(r *AgentReport) { r.ServiceProxy = &none }) },
		"TSU6002", []string{"warning | Node node1 | no rules of kube-proxy"}, ""},
	{"not reported", func(s *Snapshot) { s.reports(func(r *AgentReport) { r.ServiceProxy = nil }) }, "TSU6002", nil, ""},

	{"loose", nothing, "TSU6003", nil, ""},
	{"strict", func(s *Snapshot) {
		s.reports(func(r *AgentReport) { r.RPFilter = map[string]int{"all": 0, "eth0": 1, "up1": 2, "lo": 1} })
	},
		"TSU6003", []string{"info | Node node1 | strict) on eth0"}, ""},
	{"all is loose", func(s *Snapshot) {
		s.reports(func(r *AgentReport) { r.RPFilter = map[string]int{"all": 2, "eth0": 1} })
	}, "TSU6003", nil, ""},
}
