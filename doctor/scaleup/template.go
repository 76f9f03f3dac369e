package scaleup

import (
	"fmt"
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Source is where the autoscaler takes the picture of a new node from.
type Source string

// The sources, the first that there is.
const (
	// FromNode: a node of the group that is there and ready.
	FromNode Source = "node"
	// FromAnnotations: the capacity annotations of the group.
	FromAnnotations Source = "annotations"
	// FromTemplate: status.capacity of the infrastructure template.
	FromTemplate Source = "status.capacity"
)

// picture is the node that the autoscaler imagines a new machine to be.
type picture struct {
	node   *corev1.Node
	source Source
	// of is the name of the node that it is taken from.
	of string
	// pods run on every node of the group, DaemonSets' Pods, as far as they are known.
	problems []Problem
}

// imagine makes the picture for a group; none when the autoscaler drops the group. Nodes are those of the group.
func (c *Cluster) imagine(g Group, v Version) (p picture) {
	labels, problems := readLabels(g, v)
	taints, bad := readTaints(g, v)
	problems = append(problems, bad...)
	size, bad := readCapacity(g, v)
	live := c.nodesOf(g)
	if node := readyNode(live); node != nil {
		// A value that does not parse harms only a group without a node.
		for i := range bad {
			if bad[i].Effect == Drops {
				bad[i].Effect = Misleads
				bad[i].Why += "; now the group has a node, by which the autoscaler goes instead"
			}
		}
		p = picture{node: likeNode(node, c.Autoscaler), source: FromNode, of: node.Name, problems: append(problems, bad...)}
		p.problems = append(p.problems, c.stale(g, node, labels)...)
		return p
	}
	p.problems = append(problems, bad...)
	p.problems = append(p.problems, unsynced(g, labels)...)
	for _, b := range bad {
		if b.drops() {
			return p
		}
	}
	p.source = FromAnnotations
	if c.fromInfra(g, size) {
		p.source = FromTemplate
	}
	if missing := lacking(size); len(missing) > 0 {
		p.problems = append(p.problems, c.noCapacity(g, missing))
		return p
	}
	p.node = &corev1.Node{}
	p.node.Name = g.Name + "-new"
	p.node.Labels = map[string]string{corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64", corev1.LabelHostname: p.node.Name}
	maps.Copy(p.node.Labels, labels)
	p.node.Status.Capacity, p.node.Status.Allocatable = size, size
	for _, t := range taints {
		if !c.Autoscaler.startupTaint(t.Key) {
			p.node.Spec.Taints = append(p.node.Spec.Taints, t)
		}
	}
	return p
}

// lacking are the sizes without which there is no picture.
func lacking(size corev1.ResourceList) (keys []string) {
	for _, q := range []struct {
		name corev1.ResourceName
		key  string
	}{{corev1.ResourceCPU, keyCPU}, {corev1.ResourceMemory, keyMemory}} {
		if n, ok := size[q.name]; !ok || n.IsZero() {
			keys = append(keys, q.key)
		}
	}
	return keys
}

// fromInfra adds what the infrastructure template publishes and the annotations do not say; true when it was needed for CPU or memory.
func (c *Cluster) fromInfra(g Group, size corev1.ResourceList) (needed bool) {
	t := c.infra(g.Infra)
	if t == nil {
		return false
	}
	published, _, _ := unstructured.NestedMap(t.Object, "status", "capacity")
	for name, value := range published {
		n, err := resource.ParseQuantity(fmt.Sprint(value))
		if err != nil {
			continue // the autoscaler passes over it
		}
		key := corev1.ResourceName(name)
		if _, has := size[key]; has && key != corev1.ResourcePods {
			continue
		}
		if key == corev1.ResourcePods && g.Annotations[keyMaxPods] != "" {
			continue
		}
		size[key] = n
		needed = needed || key == corev1.ResourceCPU || key == corev1.ResourceMemory
	}
	return needed
}

func (c *Cluster) infra(r Reference) *unstructured.Unstructured {
	for i := range c.Templates {
		if t := &c.Templates[i]; t.GetKind() == r.Kind && t.GetNamespace() == r.Namespace && t.GetName() == r.Name {
			return t
		}
	}
	return nil
}

// sizeless tells of a kind whose definition has no status, so that no object of it says a size. The kind of that name in vSphere's supervisor has one.
func (r Reference) sizeless() bool {
	return r.Kind == "VSphereMachineTemplate" && r.Group == "infrastructure.cluster.x-k8s.io"
}

// noCapacity says that the size of a node cannot be known, and computes it where the template says enough.
func (c *Cluster) noCapacity(g Group, missing []string) Problem {
	p := Problem{CodeNoCapacity, Drops, strings.Join(missing, ", "), "",
		"the group has no node, and nothing says how large one would be: the autoscaler leaves it out, and logs nothing of it", ""}
	cpu, memory := "4", "8Gi"
	if t := c.infra(g.Infra); t != nil {
		if n, ok, _ := unstructured.NestedInt64(t.Object, "spec", "template", "spec", "numCPUs"); ok && n > 0 {
			cpu = resource.NewQuantity(n, resource.DecimalSI).String()
		}
		if n, ok, _ := unstructured.NestedInt64(t.Object, "spec", "template", "spec", "memoryMiB"); ok && n > 0 {
			memory = resource.NewQuantity(n<<20, resource.BinarySI).String()
		}
	} else if g.Infra.Name != "" && !g.Infra.sizeless() {
		p.Effect = MayDrop
		p.Why += fmt.Sprintf("; %s %s was not read, and may say it in its status.capacity", g.Infra.Kind, g.Infra.Name)
	}
	if g.Infra.sizeless() {
		p.Why += "; a VSphereMachineTemplate publishes no status.capacity"
	}
	p.Fix = fmt.Sprintf("kubectl -n %s annotate %s %s --overwrite %s=%q %s=%q", g.Namespace, resourceOf(g.Kind), g.Name, keyCPU, cpu, keyMemory, memory)
	return p
}

// nodesOf are the nodes of a group, by the Machines that it owns.
func (c *Cluster) nodesOf(g Group) (nodes []*corev1.Node) {
	for i := range c.Machines {
		m := &c.Machines[i]
		if !c.owns(g, m) {
			continue
		}
		name, _, _ := unstructured.NestedString(m.Object, "status", "nodeRef", "name")
		for j := range c.Nodes {
			if n := &c.Nodes[j]; name != "" && n.Name == name {
				nodes = append(nodes, n)
			}
		}
	}
	return nodes
}

// owns tells whether a Machine is of a group: by the label that Cluster API puts on it, or by its owner.
func (c *Cluster) owns(g Group, m *unstructured.Unstructured) bool {
	if m.GetNamespace() != g.Namespace {
		return false
	}
	if g.Kind == "MachineDeployment" && m.GetLabels()["cluster.x-k8s.io/deployment-name"] == g.Name {
		return true
	}
	for _, o := range m.GetOwnerReferences() {
		if o.Kind == g.Kind && o.Name == g.Name {
			return true
		}
	}
	return false
}

func readyNode(nodes []*corev1.Node) *corev1.Node {
	for _, n := range nodes {
		for _, c := range n.Status.Conditions {
			if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue && !n.Spec.Unschedulable {
				return n
			}
		}
	}
	return nil
}

// likeNode is a new node that is like one that is there.
func likeNode(n *corev1.Node, a Autoscaler) *corev1.Node {
	like := n.DeepCopy()
	like.Name = n.Name + "-new"
	like.Labels = maps.Clone(n.Labels)
	if like.Labels == nil {
		like.Labels = map[string]string{}
	}
	like.Labels[corev1.LabelHostname] = like.Name
	like.Spec.Taints = nil
	for _, t := range n.Spec.Taints {
		if !a.startupTaint(t.Key) {
			like.Spec.Taints = append(like.Spec.Taints, t)
		}
	}
	return like
}

// stale tells that labels were changed that count only when the autoscaler starts anew: it keeps the picture of a group's last node.
func (c *Cluster) stale(g Group, node *corev1.Node, promised map[string]string) (problems []Problem) {
	for _, key := range keysOf(promised) {
		if have, ok := node.Labels[key]; !ok || have != promised[key] {
			problems = append(problems, Problem{CodeStale, Misleads, keyLabels, key + "=" + promised[key],
				fmt.Sprintf("Node %s of the group has not got it: while the group has a node, and for as long as the autoscaler runs after that, it goes by that node and not by the annotation", node.Name),
				"make a new MachineDeployment for another set of labels, or start the autoscaler anew once the group has no node"})
		}
	}
	return problems
}
