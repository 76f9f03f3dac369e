package doctor

import (
	"fmt"
	"strings"
	"time"

	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	admissionregv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	crdv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/doctor/scaleup"
)

// Part is one list of a Snapshot, by the name of the API resource.
type Part string

// The parts of a Snapshot.
const (
	Nodes       Part = "nodes"
	Namespaces  Part = "namespaces"
	Pods        Part = "pods"
	Events      Part = "events"
	DaemonSets  Part = "daemonsets"
	Deployments Part = "deployments"
	CRDs        Part = "customresourcedefinitions"
	Definitions Part = "network-attachment-definitions"
	Networks    Part = "networks"
	OnNodes     Part = "nodenetworks"
	Pools       Part = "ippools"
	Blocks      Part = "ipblocks"
	Addresses   Part = "ipaddresses"
	Webhooks    Part = "validatingwebhookconfigurations"
	Secrets     Part = "secrets"
	Reports     Part = "agents' reports"
	Machines    Part = "machinedeployments.cluster.x-k8s.io"
	Rights      Part = "rights of the autoscaler"
	Services    Part = "services"
	Policies    Part = "networkpolicies"
	Texts       Part = "logs and files"
	// Lines are read when either of Events and Texts is.
	Lines Part = "events or logs"
)

// Snapshot is what was read of a cluster at one time. A list is complete, or
// its part is in Unread.
type Snapshot struct {
	Time        time.Time
	Nodes       []corev1.Node
	Namespaces  []corev1.Namespace
	Pods        []corev1.Pod
	Events      []corev1.Event // of type Warning
	DaemonSets  []appsv1.DaemonSet
	Deployments []appsv1.Deployment
	CRDs        []crdv1.CustomResourceDefinition
	Definitions []nadv1.NetworkAttachmentDefinition
	Networks    []v1alpha1.Network
	// OnNodes say which Networks there are on which node.
	OnNodes   []v1alpha1.NodeNetwork
	Pools     []v1alpha1.IPPool
	Blocks    []v1alpha1.IPBlock
	Addresses []v1alpha1.IPAddress
	// Webhooks is the configuration of tsunagu, if there is one, and
	// Certificates what its Secret has besides keys.
	Webhooks     []admissionregv1.ValidatingWebhookConfiguration
	Certificates []Certificate

	// ScaleUp is what Cluster Autoscaler and Cluster API go by; nil without
	// either. ClusterAPI is the version that runs, zero when it is not known,
	// and Autoscaled tells that a Cluster Autoscaler was found.
	ScaleUp    *scaleup.Cluster
	ClusterAPI scaleup.Version
	Autoscaled bool
	// ScaleEvents are the autoscaler's verdicts on Pods.
	ScaleEvents []corev1.Event
	Services    []corev1.Service
	Policies    []networkingv1.NetworkPolicy
	// Texts are logs of those that networks depend on, and files that are no
	// objects.
	Texts []Text

	// Reports are what agents say of their nodes, by node name. An agent that
	// could not be asked is absent.
	Reports map[string]AgentReport
	// Silent are agents that were asked and did not answer: node name → why.
	Silent map[string]string
	// Unread are the parts that could not be read, and why.
	Unread map[Part]string

	inspected *inspection
}

// Text is a log or a file: where it is from, and what it says.
type Text struct{ Name, Text string }

// Certificate is what a webhook is known by, in PEM.
type Certificate struct {
	Namespace, Name string
	// Serving is the certificate and those that it stands on.
	Serving []byte
}

// AgentReport is what one agent says of its node. A nil field was not
// reported.
type AgentReport struct {
	Version string `json:"version,omitempty"`
	// Configs are the file names in the CNI configuration directory as the
	// container runtime sorts them.
	Configs []string `json:"cniConfigs,omitempty"`
	// ServiceProxy names who carries out Services on the node; "none" means
	// that nobody does.
	ServiceProxy *string `json:"serviceProxy,omitempty"`
	// RPFilter is net.ipv4.conf.<interface>.rp_filter by interface; the
	// effective value is the larger of "all" and the interface's own.
	RPFilter map[string]int `json:"rpFilter,omitempty"`
	// Overlay is the name of the overlay's device, Ready whether it is
	// carried out.
	Overlay *OverlayReport `json:"overlay,omitempty"`
}

// OverlayReport is the state of the way to other nodes.
type OverlayReport struct {
	Ready   bool   `json:"ready"`
	Encap   string `json:"encap,omitempty"`
	MTU     int    `json:"mtu,omitempty"`
	Message string `json:"message,omitempty"`
}

// lacks says which needed part could not be read and why, or "".
func (s *Snapshot) lacks(needs []Part) string {
	for _, part := range needs {
		if why, ok := s.Unread[part]; ok {
			return fmt.Sprintf("reading %s: %s", part, why)
		}
		if why, ok := s.Unread[Events]; ok && part == Lines && len(s.Texts) == 0 {
			return fmt.Sprintf("reading %s: %s", Events, why)
		}
		if part == Reports && len(s.Reports) == 0 {
			return "no agent reported the state of its node"
		}
	}
	return ""
}

// Where the install puts things (deploy/).
const (
	AgentName      = "tsunagu-agent"
	ControllerName = "tsunagu-controller"
	componentLabel = "app.kubernetes.io/component"
	nameLabel      = "app.kubernetes.io/name"
)

// IsAgent tells whether a Pod is a tsunagu agent.
func IsAgent(p *corev1.Pod) bool { return isPart(p, "DaemonSet", "agent", AgentName) }

// isPart tells whether a Pod belongs to a part of tsunagu: by label, or by the
// name of the workload that made it.
func isPart(p *corev1.Pod, kind, component, name string) bool {
	if p.Labels[nameLabel] == name || p.Labels[nameLabel] == "tsunagu" && p.Labels[componentLabel] == component {
		return true
	}
	for _, o := range p.OwnerReferences {
		if o.Kind == kind && o.Name == name {
			return true
		}
	}
	return false
}

// AgentDaemonSet returns the agents' DaemonSet, or nil.
func (s *Snapshot) AgentDaemonSet() *appsv1.DaemonSet {
	for i, d := range s.DaemonSets {
		if d.Name == AgentName || d.Labels[nameLabel] == "tsunagu" && d.Labels[componentLabel] == "agent" {
			return &s.DaemonSets[i]
		}
	}
	return nil
}

// Controller returns the controller's Deployment, or nil.
func (s *Snapshot) Controller() *appsv1.Deployment {
	for i, d := range s.Deployments {
		if d.Name == ControllerName || d.Labels[nameLabel] == "tsunagu" && d.Labels[componentLabel] == "controller" {
			return &s.Deployments[i]
		}
	}
	return nil
}

// Agents returns the agent Pods by node name. Where two are on a node, for
// instance during a roll-out, it is the one that is not going away.
func (s *Snapshot) Agents() map[string]*corev1.Pod {
	agents := map[string]*corev1.Pod{}
	for i := range s.Pods {
		p := &s.Pods[i]
		if !IsAgent(p) || p.Spec.NodeName == "" || Finished(p) {
			continue
		}
		if old := agents[p.Spec.NodeName]; old == nil || old.DeletionTimestamp != nil {
			agents[p.Spec.NodeName] = p
		}
	}
	return agents
}

// Finished tells whether a Pod's containers have ended for good: its
// addresses are free.
func Finished(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

// IsReady tells whether a Pod's condition Ready is true.
func IsReady(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// ImageVersion is the tag or digest of the first container's image.
func ImageVersion(p *corev1.Pod) string {
	if len(p.Spec.Containers) == 0 {
		return ""
	}
	return imageTag(p.Spec.Containers[0].Image)
}

func imageTag(image string) string {
	if _, digest, ok := strings.Cut(image, "@"); ok {
		return digest
	}
	name := image[strings.LastIndex(image, "/")+1:]
	if _, tag, ok := strings.Cut(name, ":"); ok {
		return tag
	}
	return "latest"
}

// plural is "1 node", "2 nodes".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func podObject(p *corev1.Pod) Object { return Object{"Pod", p.Namespace, p.Name} }

func nodeObject(name string) Object { return Object{"Node", "", name} }
