package doctor

import (
	"regexp"
	"strings"
)

// silencing is a line of sysctl -a, or of a file in /etc/sysctl.d, that keeps a node from answering for its other addresses.
var silencing = regexp.MustCompile(`^net[./]ipv4[./]conf[./](all|default)[./]arp_ignore\s*=\s*[1-9]`)

var arpSilenced = Check{
	Code:    "TSU7501",
	Title:   "node is told not to answer ARP",
	Explain: `Real servers behind a load balancer are told by arp_ignore not to answer for its address. For all interfaces it also silences the node towards its own guests.`,
	Needs:   []Part{Lines},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		for _, t := range s.Texts {
			for line := range strings.Lines(t.Text) {
				if silencing.MatchString(line) {
					found = append(found, Finding{Severity: Warning, Object: Object{Kind: "File", Name: t.Name}, Cause: strings.TrimSpace(line) + " is for all interfaces",
						Breaks: "Pods and machines behind this node get no answer from it", Fix: "set arp_ignore only on the interface that faces the load balancer"})
				}
			}
		}
		return found
	},
}
