package doctor

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/tsunagu-net/tsunagu/doctor/scaleup"
)

// machineChecks are those about Cluster API and Cluster Autoscaler. What is a rule of the autoscaler stands in package scaleup.
func machineChecks() []Check {
	return []Check{
		machineNoSizes, machineBadSizes, machineEqualSizes, machineNoCapacity, machineBadCapacity, machineOddCapacity, machineOldLabels,
		machineBadLabels, machineTemplateOnly, machineUnsynced, clusterAPIOld, machineStale, machineNoRight, autoscalerHangs, machineNoGroup,
		machineProviderID, machineNotAdopted, machineExcluded, machineTwoSpaces, machinePaused, autoscalerSlow, machineUncounted,
		machinePredicate, machineHostUnknown, machineBadTaint, machineClaims, machineFull,
	}
}

// inspection is what scaleup says of all groups, and of the Pods that wait.
type inspection struct {
	groups []scaleup.GroupProblems
	pods   []scaleup.Verdict
}

// mostWaiting is how many Pods are explained: what keeps one Pod of a workload off keeps off the others.
const mostWaiting = 20

// inspect asks scaleup once per Snapshot.
func (s *Snapshot) inspect() *inspection {
	if s.inspected != nil {
		return s.inspected
	}
	s.inspected = &inspection{}
	if s.ScaleUp == nil || len(s.ScaleUp.Groups) == 0 {
		return s.inspected
	}
	s.inspected.groups = scaleup.Inspect(s.ScaleUp)
	owners := map[string]bool{}
	for i := range s.Pods {
		p := &s.Pods[i]
		if owner := ownerOf(p); unschedulable(p) && !owners[owner] && len(owners) < mostWaiting {
			owners[owner] = true
			s.inspected.pods = append(s.inspected.pods, scaleup.Explain(s.ScaleUp, p))
		}
	}
	return s.inspected
}

func unschedulable(p *corev1.Pod) bool {
	return p.Spec.NodeName == "" && slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable
	})
}

func ownerOf(p *corev1.Pod) string {
	for _, o := range p.OwnerReferences {
		if o.Controller != nil && *o.Controller {
			return p.Namespace + "/" + o.Kind + "/" + o.Name
		}
	}
	return p.Namespace + "/Pod/" + p.Name
}

// groupRule is a check of one rule of the autoscaler about a group of machines.
func groupRule(code scaleup.Code, title, explain string) Check {
	return Check{Code: string(code), Title: title, Explain: explain, Needs: []Part{Machines}, Look: func(s *Snapshot) []Finding {
		var found []Finding
		for _, g := range s.inspect().groups {
			for _, p := range g.Problems {
				if p.Code != code || code == scaleup.CodeNoSizes && !g.Group.Managed() && !s.Autoscaled {
					continue
				}
				severity := severityOf(p.Effect)
				if code == scaleup.CodeNoSizes && !g.Group.Managed() {
					severity = Warning // perhaps nobody wants it scaled
				}
				found = append(found, Finding{Severity: severity, Object: groupObject(g.Group), Cause: sentence(p), Breaks: breaksBy(p.Effect), Fix: p.Fix})
			}
		}
		return found
	}}
}

// needing is the check, which needs more.
func (c Check) needing(parts ...Part) Check {
	c.Needs = append(slices.Clone(c.Needs), parts...)
	return c
}

// podRule is a check of one rule about a Pod that waits and for which no group is scaled.
func podRule(code scaleup.Code, title, explain string) Check {
	return Check{Code: string(code), Title: title, Explain: explain, Needs: []Part{Machines, Pods}, Look: func(s *Snapshot) []Finding {
		var found []Finding
		for _, v := range s.inspect().pods {
			if len(v.Scales) > 0 && code != scaleup.CodeHostUnknown {
				continue
			}
			namespace, name, _ := strings.Cut(v.Pod, "/")
			f := Finding{Object: Object{"Pod", namespace, name}}
			var causes, fixes []string
			for _, g := range v.Groups {
				for _, p := range g.Problems {
					if p.Code == code {
						f.Severity, f.Breaks = severityOf(p.Effect), breaksBy(p.Effect)
						causes, fixes = append(causes, g.Group+": "+sentence(p)), append(fixes, p.Fix)
					}
				}
			}
			if len(causes) > 0 {
				slices.Sort(fixes)
				f.Cause, f.Fix = list(causes), list(slices.Compact(fixes))
				found = append(found, f)
			}
		}
		return found
	}}
}

func groupObject(g scaleup.Group) Object { return Object{g.Kind, g.Namespace, g.Name} }

func sentence(p scaleup.Problem) string {
	where := p.Field
	if p.Value != "" {
		where += fmt.Sprintf("=%q", p.Value)
	}
	return where + ": " + p.Why
}

func severityOf(e scaleup.Effect) Severity {
	if e == scaleup.Misleads || e == scaleup.Ignored || e == scaleup.MayDrop {
		return Warning
	}
	return Error
}

func breaksBy(e scaleup.Effect) string {
	switch e {
	case scaleup.StopsAll:
		return "Cluster Autoscaler adds no node of any group"
	case scaleup.Drops:
		return "Cluster Autoscaler adds no node of this group"
	case scaleup.MayDrop:
		return "Cluster Autoscaler adds no node of this group, unless the template says a size"
	case scaleup.Keeps:
		return "no node is added for the Pod, which stays Pending"
	case scaleup.Misleads:
		return "Cluster Autoscaler decides by something that is not so: nodes come for nothing, or none comes"
	}
	return "what is written there has no effect"
}
