package doctor

import "fmt"

var controllerDown = Check{
	Code:  "TSU2003",
	Title: "controller not running",
	Explain: `The controller turns Networks into NetworkAttachmentDefinitions and pools, keeps counts, and takes back the addresses of lost nodes. ` +
		`Pods on existing networks do not need it.`,
	Needs: []Part{Deployments},
	Look: func(s *Snapshot) []Finding {
		d := s.Controller()
		f := Finding{
			Severity: Error,
			Object:   Object{"Deployment", "tsunagu-system", ControllerName},
			Breaks:   "new or changed Networks are not carried out, pool counts stand still, addresses of lost nodes stay taken",
		}
		switch {
		case d == nil:
			f.Cause = "there is no Deployment " + ControllerName + " in any namespace"
			f.Fix = "install tsunagu: kubectl apply --server-side -f deploy/tsunagu.yaml"
			return []Finding{f}
		case d.Status.ReadyReplicas > 0 || s.Time.Sub(d.CreationTimestamp.Time) < settling:
			return nil
		}
		f.Object.Namespace, f.Object.Name = d.Namespace, d.Name
		f.Cause = "none of its Pods is ready"
		if d.Spec.Replicas != nil && *d.Spec.Replicas == 0 {
			f.Cause = "it is scaled to 0 replicas"
			f.Fix = fmt.Sprintf("kubectl -n %s scale deployment %s --replicas=1", d.Namespace, d.Name)
			return []Finding{f}
		}
		for i := range s.Pods {
			if p := &s.Pods[i]; isPart(p, "ReplicaSet", "controller", ControllerName) && p.Namespace == d.Namespace && !IsReady(p) && !Finished(p) {
				f.Cause = fmt.Sprintf("its Pod %s is not ready: %s", p.Name, whyNotReady(p))
				break
			}
		}
		f.Fix = fmt.Sprintf("read its log: kubectl -n %s logs deployment/%s", d.Namespace, d.Name)
		return []Finding{f}
	},
}
