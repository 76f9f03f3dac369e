package doctor

import "strings"

var superAdmin = Check{
	Code:    "TSU7402",
	Title:   "Pod mounts super-admin.conf",
	Explain: `The file is only on the node that ran kubeadm init, so the Pod starts on no other node; and it may do everything, for ever.`,
	Needs:   []Part{Pods},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		for i := range s.Pods {
			p := &s.Pods[i]
			for _, v := range p.Spec.Volumes {
				if v.HostPath != nil && strings.HasSuffix(v.HostPath.Path, "/super-admin.conf") {
					found = append(found, Finding{Severity: Warning, Object: podObject(p), Cause: "volume " + v.Name + " is " + v.HostPath.Path,
						Breaks: "on joined nodes the Pod does not start", Fix: "after init, mount /etc/kubernetes/admin.conf; on joined nodes from the start"})
				}
			}
		}
		return found
	},
}
