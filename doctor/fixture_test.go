package doctor

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	crdv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

var (
	now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	old = metav1.NewTime(now.Add(-time.Hour))
)

// healthy is a cluster of three nodes in which nothing is wrong: a Network
// blue, a hand-written definition, and a Pod per node on both. Tests break one
// thing of it.
func healthy(t testing.TB) *Snapshot {
	t.Helper()
	s := &Snapshot{
		Time:        now,
		Namespaces:  []corev1.Namespace{namespace("default"), namespace("demo"), namespace("tsunagu-system")},
		DaemonSets:  []appsv1.DaemonSet{{ObjectMeta: named("tsunagu-system", AgentName, "ds")}},
		Deployments: []appsv1.Deployment{{ObjectMeta: named("tsunagu-system", ControllerName, "dep"), Status: appsv1.DeploymentStatus{ReadyReplicas: 1}}},
		CRDs:        definitionsOfDeploy(t),
		Networks: []v1alpha1.Network{{
			ObjectMeta: named("", "blue", "blue"),
			Spec:       v1alpha1.NetworkSpec{Namespaces: &v1alpha1.NamespaceSelector{Names: []string{"demo"}}},
			Status:     v1alpha1.NetworkStatus{Conditions: []metav1.Condition{{Type: "Ready", Status: "True"}}},
		}},
		Definitions: []nadv1.NetworkAttachmentDefinition{
			definition("demo", "blue", `{"cniVersion":"1.0.0","name":"blue","type":"macvlan","master":"up1","ipam":{"type":"tsunagu","pools":["blue-v4"]}}`),
			definition("demo", "hand", `{"cniVersion":"0.3.1","plugins":[{"type":"bridge","ipam":{"type":"whereabouts","range":"10.9.0.0/24"}},{"type":"tuning"}]}`),
		},
		Pools: []v1alpha1.IPPool{pool("blue-v4", "blue", "192.168.101.0/24")},
		Blocks: []v1alpha1.IPBlock{{ObjectMeta: named("", "blue-192.168.101.0", "block"), Spec: v1alpha1.IPBlockSpec{Domain: "blue", CIDR: "192.168.101.0/28",
			Owner: v1alpha1.BlockOwner{Node: "node1", NodeUID: "uid-node1"}, State: v1alpha1.BlockOwned}}},
		Addresses: []v1alpha1.IPAddress{{ObjectMeta: named("", "blue-192.168.101.77", "bound"), Spec: v1alpha1.IPAddressSpec{Domain: "blue", Address: "192.168.101.77",
			Owner: v1alpha1.AddressOwner{Node: "node1", NodeUID: "uid-node1", Namespace: "demo", Pod: "web1", PodUID: "uid-demo-web1"}}}},
		Reports: map[string]AgentReport{},
		Unread:  map[Part]string{},
	}
	s.Webhooks, s.Certificates = admission(t, now.Add(-time.Hour), now.Add(90*24*time.Hour))
	s.Definitions[0].Labels = map[string]string{v1alpha1.NetworkLabel: "blue"}
	s.Pools[0].Labels = map[string]string{v1alpha1.NetworkLabel: "blue"}
	proxy := "kube-proxy"
	for i := 1; i <= 3; i++ {
		node := fmt.Sprintf("node%d", i)
		s.Nodes = append(s.Nodes, corev1.Node{
			ObjectMeta: named("", node, "uid-"+node),
			Spec:       corev1.NodeSpec{PodCIDRs: []string{fmt.Sprintf("10.244.%d.0/24", i), fmt.Sprintf("fd00:244:%d::/64", i)}},
			Status:     corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: fmt.Sprintf("172.20.0.%d", i)}}},
		})
		s.Pods = append(s.Pods, agent(node), web(i))
		s.Addresses = append(s.Addresses, keep("blue", fmt.Sprintf("192.168.101.7%d", i)), keep("default", fmt.Sprintf("10.9.0.%d", i)))
		s.Reports[node] = AgentReport{Configs: []string{"00-tsunagu.conflist", "10-flannel.conflist"}, ServiceProxy: &proxy, RPFilter: map[string]int{"all": 0, "eth0": 2}}
	}
	return s
}

// keep is an IPAddress that keeps an address for whoever has it.
func keep(domain, address string) v1alpha1.IPAddress {
	return v1alpha1.IPAddress{ObjectMeta: named("", domain+"."+address, domain+address), Spec: v1alpha1.IPAddressSpec{Domain: domain, Address: address}}
}

func named(namespace, name, uid string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(uid), CreationTimestamp: old}
}

func namespace(name string) corev1.Namespace {
	return corev1.Namespace{ObjectMeta: named("", name, name)}
}

func definition(namespace, name, config string) nadv1.NetworkAttachmentDefinition {
	return nadv1.NetworkAttachmentDefinition{ObjectMeta: named(namespace, name, name), Spec: nadv1.NetworkAttachmentDefinitionSpec{Config: config}}
}

func pool(name, domain, cidr string) v1alpha1.IPPool {
	return v1alpha1.IPPool{
		ObjectMeta: named("", name, name),
		Spec:       v1alpha1.IPPoolSpec{Domain: domain, Subnet: v1alpha1.Subnet{CIDR: cidr}},
		Status:     v1alpha1.IPPoolStatus{Total: 254, Used: 3, Free: 251, Static: 1, Blocks: 3},
	}
}

func agent(node string) corev1.Pod {
	p := corev1.Pod{ObjectMeta: named("tsunagu-system", "tsunagu-agent-"+node, "uid-agent-"+node)}
	p.Labels = map[string]string{nameLabel: "tsunagu", componentLabel: "agent"}
	p.Spec = corev1.PodSpec{NodeName: node, HostNetwork: true, Containers: []corev1.Container{{Name: "agent", Image: "ghcr.io/tsunagu-net/tsunagu:v0.1.0"}}}
	p.Status = corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}
	return p
}

// web is a Pod on the pod network, on blue and on the hand-written network.
func web(i int) corev1.Pod {
	p := corev1.Pod{ObjectMeta: named("demo", fmt.Sprintf("web%d", i), fmt.Sprintf("uid-demo-web%d", i))}
	p.Annotations = map[string]string{
		"k8s.v1.cni.cncf.io/networks": "blue, hand@lan",
		"k8s.v1.cni.cncf.io/network-status": fmt.Sprintf(`[
			{"name":"tsunagu","interface":"eth0","ips":["10.244.%[1]d.5","fd00:244:%[1]d::5"],"default":true,"dns":{}},
			{"name":"demo/blue","interface":"net1","ips":["192.168.101.7%[1]d"],"mac":"0a:58:c0:a8:65:4%[1]d","dns":{}},
			{"name":"demo/hand","interface":"lan","ips":["10.9.0.%[1]d"],"dns":{}}]`, i),
	}
	p.Spec.NodeName = fmt.Sprintf("node%d", i)
	p.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIP: fmt.Sprintf("10.244.%d.5", i), StartTime: &old}
	return p
}

// waiting is a Pod that waits for its sandbox on node1.
func waiting(name, networks string) corev1.Pod {
	p := corev1.Pod{ObjectMeta: named("demo", name, "uid-"+name)}
	p.Annotations = map[string]string{"k8s.v1.cni.cncf.io/networks": networks}
	p.Spec.NodeName = "node1"
	p.Status.Phase = corev1.PodPending
	return p
}

func warning(pod, component, reason, message string) corev1.Event {
	return corev1.Event{
		ObjectMeta:     named("demo", pod+".1", pod+reason),
		InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: "demo", Name: pod, UID: types.UID("uid-" + pod)},
		Source:         corev1.EventSource{Component: component},
		Reason:         reason, Message: message, LastTimestamp: metav1.NewTime(now), Type: corev1.EventTypeWarning,
	}
}

// definitionsOfDeploy are the definitions that are really installed.
func definitionsOfDeploy(t testing.TB) []crdv1.CustomResourceDefinition {
	t.Helper()
	names, err := filepath.Glob("../deploy/crds/*.yaml")
	if err != nil || len(names) == 0 {
		t.Fatalf("no definitions in deploy/crds: %v", err)
	}
	var all []crdv1.CustomResourceDefinition
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var crd crdv1.CustomResourceDefinition
		if err := yaml.Unmarshal(text, &crd); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if crd.Kind == "CustomResourceDefinition" {
			all = append(all, crd)
		}
	}
	return all
}

func (s *Snapshot) podNamed(name string) *corev1.Pod {
	for i := range s.Pods {
		if s.Pods[i].Name == name {
			return &s.Pods[i]
		}
	}
	panic("the fixture has no Pod " + name)
}

func (s *Snapshot) removePod(name string) {
	for i := range s.Pods {
		if s.Pods[i].Name == name {
			s.Pods = append(s.Pods[:i], s.Pods[i+1:]...)
			return
		}
	}
}

// reports changes what the agent of node1 says.
func (s *Snapshot) reports(change func(*AgentReport)) {
	r := s.Reports["node1"]
	change(&r)
	s.Reports["node1"] = r
}
