package doctor

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/tsunagu-net/tsunagu/ipam"
)

var podRefused = Check{
	Code:  "TSU4001",
	Title: "Pod refused by tsunagu",
	Explain: `An attachment that cannot be carried out is refused at once, with an Event on the Pod that says why. kubelet tries again and again, ` +
		`so the Pod starts by itself when the cause is gone. docs/errors.md lists the reasons.`,
	Needs: []Part{Pods, Events},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		for i := range s.Pods {
			p := &s.Pods[i]
			e := s.lastEvent(p, fromAgent)
			if e == nil || !creating(p) {
				continue
			}
			cause, fix := splitFix(e.Message)
			if fix == "" {
				fix = "docs/errors.md says what to do for reason " + e.Reason
			}
			found = append(found, Finding{
				Severity: Error,
				Object:   podObject(p),
				Cause:    e.Reason + ": " + cause,
				Breaks:   "the Pod stays in ContainerCreating",
				Fix:      fix,
				CausedBy: s.causeOfRefusal(p),
			})
		}
		return found
	},
}

var sandboxFailed = Check{
	Code:  "TSU4005",
	Title: "Pod's sandbox cannot be made",
	Explain: `kubelet cannot create the Pod's sandbox and tsunagu did not say why: the shim did not reach the agent, another CNI plugin answered, or ` +
		`the container runtime itself fails.`,
	Needs: []Part{Pods, Events},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		for i := range s.Pods {
			p := &s.Pods[i]
			e := s.lastEvent(p, func(e *corev1.Event) bool { return e.Reason == "FailedCreatePodSandBox" })
			if e == nil || !creating(p) || s.lastEvent(p, fromAgent) != nil {
				continue
			}
			f := Finding{
				Severity: Error,
				Object:   podObject(p),
				Cause:    innermost(e.Message),
				Breaks:   "the Pod stays in ContainerCreating",
				Fix:      fmt.Sprintf("kubectl -n %s describe pod %s; then the log of the agent on node %s", p.Namespace, p.Name, p.Spec.NodeName),
				CausedBy: s.agentTrouble(p.Spec.NodeName),
			}
			if strings.Contains(f.Cause, `failed to find plugin "loopback"`) {
				f.Fix = fmt.Sprintf("install the reference plugin loopback on node %s (Debian: containernetworking-plugins): "+
					"containerd before 2.0 runs it itself, for every Pod and whatever the CNI plugin", p.Spec.NodeName)
			}
			found = append(found, f)
		}
		return found
	},
}

// creating tells whether a Pod was placed and waits for its sandbox or
// containers.
func creating(p *corev1.Pod) bool {
	if p.Status.Phase != corev1.PodPending || p.Spec.NodeName == "" || p.DeletionTimestamp != nil {
		return false
	}
	return p.Status.PodIP == ""
}

// fromAgent tells whether the agent wrote an Event.
func fromAgent(e *corev1.Event) bool {
	return strings.HasPrefix(e.Source.Component, "tsunagu") || strings.HasPrefix(e.ReportingController, "tsunagu")
}

// lastEvent returns the newest Event about a Pod of which is is true, or nil.
func (s *Snapshot) lastEvent(p *corev1.Pod, is func(*corev1.Event) bool) *corev1.Event {
	var last *corev1.Event
	for i := range s.Events {
		e := &s.Events[i]
		o := e.InvolvedObject
		if o.Kind != "Pod" || o.Namespace != p.Namespace || o.Name != p.Name || o.UID != "" && o.UID != p.UID || !is(e) {
			continue
		}
		if last == nil || eventTime(e).After(eventTime(last)) {
			last = e
		}
	}
	return last
}

func eventTime(e *corev1.Event) time.Time {
	latest := e.LastTimestamp.Time
	if e.EventTime.After(latest) {
		latest = e.EventTime.Time
	}
	if e.Series != nil && e.Series.LastObservedTime.After(latest) {
		latest = e.Series.LastObservedTime.Time
	}
	return latest
}

func startTime(p *corev1.Pod) time.Time {
	if p.Status.StartTime != nil {
		return p.Status.StartTime.Time
	}
	return p.CreationTimestamp.Time
}

// splitFix takes apart what the agent puts together in an Event: the cause,
// then the fix.
func splitFix(message string) (cause, fix string) {
	cause, fix, _ = strings.Cut(message, ". To fix: ")
	return cause, fix
}

// innermost drops the layers that kubelet and runtime put around a cause.
func innermost(message string) string {
	if i := strings.LastIndex(message, "plugin type="); i >= 0 {
		message = message[i:]
	}
	if _, rest, ok := strings.Cut(message, "rpc error: code = Unknown desc = "); ok {
		message = rest
	}
	return strings.TrimSpace(message)
}

// causeOfRefusal finds the finding that a refused Pod follows from: a network
// it asks for that is not there or cannot be read.
func (s *Snapshot) causeOfRefusal(p *corev1.Pod) *Cause {
	wanted, err := Selections(p)
	if err != nil {
		return &Cause{badAnnotation.Code, podObject(p)}
	}
	for _, w := range wanted {
		d := s.definition(w.Namespace, w.Name)
		if d == nil {
			return &Cause{unknownNetwork.Code, podObject(p)}
		}
		plugins, err := parsePlugins(d.Spec.Config)
		if err != nil {
			return &Cause{brokenDefinition.Code, definitionObject(d)}
		}
		for at, plugin := range plugins {
			if !known(plugin.Type, at) {
				return &Cause{unknownPlugin.Code, definitionObject(d)}
			}
		}
		config, err := ipam.ParseConfig(plugins[0].IPAM)
		if err != nil {
			return &Cause{unknownIPAM.Code, definitionObject(d)}
		}
		for _, name := range config.AllPoolNames() {
			pool := s.pool(name)
			if pool == nil {
				return &Cause{missingPool.Code, definitionObject(d)}
			}
			if isFull(*pool) {
				return &Cause{poolFull.Code, Object{"IPPool", "", name}}
			}
		}
	}
	return nil
}

// agentTrouble is the finding about the agent of a node, if there is one.
func (s *Snapshot) agentTrouble(node string) *Cause {
	if s.Agents()[node] == nil {
		return &Cause{agentMissing.Code, nodeObject(node)}
	}
	return &Cause{agentNotReady.Code, nodeObject(node)}
}
