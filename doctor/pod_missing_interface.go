package doctor

import (
	"fmt"
	"slices"

	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	corev1 "k8s.io/api/core/v1"
)

var missingInterface = Check{
	Code:  "TSU4004",
	Title: "running Pod lacks a network it asks for",
	Explain: `The Pod was started without one of its networks: before tsunagu was there, by another CNI plugin, or the annotation was changed after ` +
		`the Pod had started. Networks of a running Pod are not changed.`,
	Needs: []Part{Pods},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		for i := range s.Pods {
			p := &s.Pods[i]
			if p.Status.Phase != corev1.PodRunning || p.Spec.HostNetwork || p.DeletionTimestamp != nil {
				continue
			}
			wanted, err := Selections(p)
			have, err2 := Status(p)
			if err != nil || err2 != nil || len(wanted) == 0 || s.Time.Sub(startTime(p)) < settling {
				continue
			}
			lacking := lackingNetworks(wanted, have)
			if len(lacking) == 0 {
				continue
			}
			f := Finding{
				Severity: Error,
				Object:   podObject(p),
				Cause:    fmt.Sprintf("it asks for %s and its network-status does not have it", list(lacking)),
				Breaks:   "the Pod does not reach that network",
				Fix:      fmt.Sprintf("start it again: kubectl -n %s delete pod %s", p.Namespace, p.Name),
			}
			if len(have) == 0 {
				f.Cause += "; no network-status at all was published, so another CNI plugin may have started it"
				f.CausedBy = &Cause{otherCNI.Code, nodeObject(p.Spec.NodeName)}
			}
			found = append(found, f)
		}
		return found
	},
}

func lackingNetworks(wanted []Selection, have []nadv1.NetworkStatus) []string {
	names := make([]string, len(have))
	for i, h := range have {
		names[i] = h.Name
	}
	var lacking []string
	for _, w := range wanted {
		name := w.Namespace + "/" + w.Name
		if i := slices.Index(names, name); i >= 0 {
			names[i] = "" // asked for twice needs two
		} else {
			lacking = append(lacking, name)
		}
	}
	return lacking
}
