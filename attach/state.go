package attach

import (
	"github.com/tsunagu-net/tsunagu/ipam"
)

// View is what an agent has on its node, for people and for the doctor.
type View struct {
	// Lacks is what keeps the agent from serving; empty when it is ready.
	Lacks []string `json:"lacks,omitempty"`
	// Sandboxes are the records, oldest first, without those that are gone.
	Sandboxes []Record `json:"sandboxes"`
	// Held are the addresses of this node's interfaces.
	Held []ipam.Holding `json:"held"`
	// Unreported counts the Pods whose network-status is not written yet.
	Unreported int `json:"unreported"`
}

// View tells what the server has.
func (s *Server) View() View {
	v := View{Lacks: s.Lacks(), Held: s.Addresses.Held(), Unreported: s.reports.waiting(), Sandboxes: []Record{}}
	for _, record := range s.records.list() {
		if record.State != Gone {
			v.Sandboxes = append(v.Sandboxes, record)
		}
	}
	return v
}
