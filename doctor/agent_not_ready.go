package doctor

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// settling is how long an agent may take to start before it is a finding.
const settling = 30 * time.Second

var agentNotReady = Check{
	Code:  "TSU1002",
	Title: "agent not ready",
	Explain: `The agent runs but says it cannot serve, or its container does not stay up. The shim waits for it a few seconds and then answers ` +
		`"try again later", so Pods on the node stay in ContainerCreating until it is back; Pods that run keep their networks.`,
	Needs: []Part{Pods},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		for node, p := range s.Agents() {
			if IsReady(p) || s.Time.Sub(p.CreationTimestamp.Time) < settling {
				continue
			}
			found = append(found, Finding{
				Severity: Error,
				Object:   nodeObject(node),
				Cause:    fmt.Sprintf("agent Pod %s/%s is not ready: %s", p.Namespace, p.Name, whyNotReady(p)),
				Breaks:   "new Pods on this node wait in ContainerCreating; running Pods are not touched",
				Fix:      fmt.Sprintf("read its log: kubectl -n %s logs %s --all-containers --previous (without --previous if it never restarted)", p.Namespace, p.Name),
			})
		}
		return found
	},
}

// whyNotReady says what the Pod's status knows, the most telling first.
func whyNotReady(p *corev1.Pod) string {
	all := append(append([]corev1.ContainerStatus{}, p.Status.InitContainerStatuses...), p.Status.ContainerStatuses...)
	for _, c := range all {
		if w := c.State.Waiting; w != nil && w.Reason != "PodInitializing" {
			said := fmt.Sprintf("container %s waits, %s", c.Name, w.Reason)
			if t := c.LastTerminationState.Terminated; t != nil {
				said += fmt.Sprintf(" after it ended with %s (exit code %d), %s", t.Reason, t.ExitCode, plural(int(c.RestartCount), "restart"))
			} else if w.Message != "" {
				said += ": " + w.Message
			}
			return said
		}
	}
	for _, c := range all {
		if t := c.LastTerminationState.Terminated; t != nil && !c.Ready {
			return fmt.Sprintf("container %s was restarted after it ended with %s (exit code %d) and is not ready yet, %s",
				c.Name, t.Reason, t.ExitCode, plural(int(c.RestartCount), "restart"))
		}
	}
	for _, c := range p.Status.Conditions {
		if c.Status == corev1.ConditionFalse && c.Message != "" && (c.Type == corev1.PodReady || c.Type == corev1.PodScheduled) {
			return c.Message
		}
	}
	return "phase " + string(p.Status.Phase)
}
