package doctor

import "fmt"

const webhookName = "tsunagu"

var webhookSilent = Check{
	Code:  "TSU2004",
	Title: "nobody answers the API server's questions",
	Explain: `The API server asks the controller when people write Pods, pools and networks, so that mistakes are said at once. Without an answer ` +
		`what they write passes, up to one second later; nodes still refuse what cannot be.`,
	Needs: []Part{Webhooks, Deployments},
	Look: func(s *Snapshot) []Finding {
		d := s.Controller()
		if len(s.Webhooks) == 0 || d != nil && d.Status.ReadyReplicas > 0 {
			return nil
		}
		f := Finding{
			Severity: Warning,
			Object:   Object{"ValidatingWebhookConfiguration", "", webhookName},
			Breaks:   "mistakes are not said when Pods and networks are written, and writing them may take a second longer",
		}
		if d == nil {
			f.Cause = "it is there, and there is no controller to answer"
			f.Fix = "kubectl delete validatingwebhookconfiguration " + webhookName + ", or install tsunagu again"
			return []Finding{f}
		}
		f.Cause = fmt.Sprintf("none of the Pods of Deployment %s is ready to answer", d.Name)
		f.Fix = fmt.Sprintf("read its log: kubectl -n %s logs deployment/%s", d.Namespace, d.Name)
		f.CausedBy = &Cause{controllerDown.Code, Object{"Deployment", d.Namespace, d.Name}}
		return []Finding{f}
	},
}
