package snapshot

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// What may not be read, or is not there, takes nothing from what is: the lists of Cluster API end up in one.
func TestMachineGroupsAreReadApart(t *testing.T) {
	for range 20 { // whichever list is read last
		s, err := snapshotOf(t, func(w http.ResponseWriter, r *http.Request) {
			switch {
			case strings.HasSuffix(r.URL.Path, "/machinedeployments"):
				w.Header().Set("Content-Type", "application/json")
				fmt.Fprint(w, `{"items":[{"kind":"MachineDeployment","apiVersion":"cluster.x-k8s.io/v1beta2","metadata":{"name":"a"}}]}`)
			case strings.HasSuffix(r.URL.Path, "/machinepools"):
				refuse(w, http.StatusForbidden, "Forbidden")
			default:
				refuse(w, http.StatusNotFound, "NotFound")
			}
		}, MachineDeployments, MachineSets, MachinePools)
		if err != nil || len(s.MachineGroups) != 1 || len(s.Unread) != 2 {
			t.Fatalf("%d groups, unread %v: %v", len(s.MachineGroups), s.Unread, err)
		}
	}
}
