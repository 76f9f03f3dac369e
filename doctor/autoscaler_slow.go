package doctor

import "fmt"

// throttled is how many such lines are no start-up.
const throttled = 20

var autoscalerSlow = Check{
	Code:    "TSU7022",
	Title:   "autoscaler slows itself down",
	Explain: `For each group without a node Cluster Autoscaler asks several times for the kinds of machine templates, and sends five requests a second by default: a pass over many groups takes minutes.`,
	Needs:   []Part{Lines},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		for _, l := range s.saying("client-side throttling") {
			if l.times >= throttled {
				found = append(found, Finding{Severity: Warning, Object: l.about, Cause: fmt.Sprintf("%d lines say %q", l.times, "client-side throttling"),
					Breaks: "nodes come minutes late", Fix: "start Cluster Autoscaler with --kube-client-qps=50 --kube-client-burst=100, and keep few groups"})
			}
		}
		return found
	},
}
