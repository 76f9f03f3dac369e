package scaleup

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	schedule "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/klog/v2"
)

// fits says what keeps a Pod off an imagined node: the scheduler's own filters, by their names.
func (c *Cluster) fits(pod *corev1.Pod, g Group, p picture) (problems []Problem) {
	for _, filter := range []func(*corev1.Pod, Group, picture) []Problem{c.affinity, c.taints, c.resources, c.claims, c.spread, c.apart} {
		problems = append(problems, filter(pod, g, p)...)
	}
	return problems
}

func (c *Cluster) affinity(pod *corev1.Pod, g Group, p picture) []Problem {
	if ok, err := nodeaffinity.GetRequiredNodeAffinity(pod).Match(p.node); ok && err == nil {
		return nil
	}
	asked, missing := wishes(pod), []string{}
	for _, w := range asked {
		if !w.met(p.node) {
			missing = append(missing, w.String())
		}
	}
	problem := Problem{CodePredicate, Keeps, "NodeAffinity", strings.Join(missing, ", "),
		fmt.Sprintf("the Pod asks for %s, and a new node would have %s; the autoscaler says \"node(s) didn't match Pod's node affinity/selector\"", joined(missing), joined(offers(p.node))),
		""}
	if p.source == FromNode {
		problem.Fix = fmt.Sprintf("make a group whose nodes have it: this one is judged by its Node %s", p.of)
		return []Problem{problem}
	}
	var add []string
	for _, w := range asked {
		if w.met(p.node) || w.value == "" {
			continue
		}
		add = append(add, w.key+"="+w.value)
		if g.TemplateLabels[w.key] == w.value {
			problem.Code = CodeTemplateOnly
			problem.Why += fmt.Sprintf("; %s stands in spec.template.metadata.labels, which the autoscaler does not read (kubernetes/autoscaler#9966)", w.key)
		} else if !Synced(w.key) {
			problem.Why += fmt.Sprintf("; besides, Cluster API gives %s to no Node: it carries only keys of node-role.kubernetes.io, node-restriction.kubernetes.io and node.cluster.x-k8s.io", w.key)
		}
	}
	if have := g.Annotations[keyLabels]; have != "" {
		add = append([]string{have}, add...)
	}
	problem.Fix = annotate(g, keyLabels, strings.Join(add, ","))
	return []Problem{problem}
}

// wish is one label that a Pod asks for.
type wish struct {
	key string
	// value is one that would do, "" if none can be named.
	value string
	text  string
	met   func(*corev1.Node) bool
}

func (w wish) String() string { return w.text }

// wishes are the requirements of the selector and of the terms of the affinity: one of the terms must hold, and all are told.
func wishes(pod *corev1.Pod) (all []wish) {
	for _, key := range keysOf(pod.Spec.NodeSelector) {
		value := pod.Spec.NodeSelector[key]
		all = append(all, wish{key, value, key + "=" + value, func(n *corev1.Node) bool { have, ok := n.Labels[key]; return ok && have == value }})
	}
	a := pod.Spec.Affinity
	if a == nil || a.NodeAffinity == nil || a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return all
	}
	for _, term := range a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		for _, r := range term.MatchExpressions {
			one := &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{r}}}}
			w := wish{key: r.Key, text: strings.TrimSpace(fmt.Sprintf("%s %s %s", r.Key, r.Operator, strings.Join(r.Values, "|"))), met: func(n *corev1.Node) bool {
				s, err := nodeaffinity.NewNodeSelector(one)
				return err == nil && s.Match(n)
			}}
			switch {
			case r.Operator == corev1.NodeSelectorOpIn && len(r.Values) > 0:
				w.value = r.Values[0]
			case r.Operator == corev1.NodeSelectorOpExists:
				w.value = "true"
			}
			all = append(all, w)
		}
	}
	return all
}

// offers are the labels of a node that say more than that it is one.
func offers(n *corev1.Node) (all []string) {
	for _, key := range keysOf(n.Labels) {
		if key != corev1.LabelHostname {
			all = append(all, key+"="+n.Labels[key])
		}
	}
	return all
}

func joined(all []string) string {
	if len(all) == 0 {
		return "nothing"
	}
	return strings.Join(all, ", ")
}

func (c *Cluster) taints(pod *corev1.Pod, g Group, p picture) []Problem {
	taint, found := schedule.FindMatchingUntoleratedTaint(klog.Background(), p.node.Spec.Taints, pod.Spec.Tolerations, func(t *corev1.Taint) bool {
		return t.Effect == corev1.TaintEffectNoSchedule || t.Effect == corev1.TaintEffectNoExecute
	}, true)
	if !found {
		return nil
	}
	return []Problem{{CodePredicate, Keeps, "TaintToleration", taint.ToString(), fmt.Sprintf("a new node has taint %s, which the Pod does not tolerate", taint.ToString()),
		"let the Pod tolerate it; a taint that goes by itself once the node works must begin with startup-taint.cluster-autoscaler.kubernetes.io/"}}
}

func (c *Cluster) resources(pod *corev1.Pod, g Group, p picture) (problems []Problem) {
	asked := requests(pod)
	for _, name := range slices.Sorted(slices.Values(namesOf(asked))) {
		want, have := asked[name], p.node.Status.Allocatable[name]
		if want.Cmp(have) <= 0 {
			continue
		}
		problem := Problem{CodePredicate, Keeps, "NodeResourcesFit", string(name),
			fmt.Sprintf("the Pod asks for %s %s, and a new node would have %s; the autoscaler says \"Insufficient %s\"", want.String(), name, have.String(), name), "ask for less, or make a group of larger nodes"}
		if have.IsZero() && p.source != FromNode {
			problem.Fix = fmt.Sprintf("publish %s in status.capacity of %s, or as the one resource that annotations can carry: %s=%q and %s=%q", name, g.Infra, keyGPUType, name, keyGPUCount, want.String())
		}
		problems = append(problems, problem)
	}
	return problems
}

func namesOf(l corev1.ResourceList) (names []corev1.ResourceName) {
	for name := range l {
		names = append(names, name)
	}
	return names
}

// requests are what a Pod needs of a node: the sum of its containers, or the most that one before them needs, and its own overhead.
func requests(pod *corev1.Pod) corev1.ResourceList {
	sum := corev1.ResourceList{corev1.ResourcePods: *resource.NewQuantity(1, resource.DecimalSI)}
	add := func(l corev1.ResourceList) {
		for name, n := range l {
			total := sum[name]
			total.Add(n)
			sum[name] = total
		}
	}
	for i := range pod.Spec.Containers {
		add(pod.Spec.Containers[i].Resources.Requests)
	}
	var before []corev1.ResourceList
	for i := range pod.Spec.InitContainers {
		c := &pod.Spec.InitContainers[i]
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			add(c.Resources.Requests)
			continue
		}
		before = append(before, c.Resources.Requests)
	}
	for _, l := range before {
		for name, n := range l {
			if total := sum[name]; n.Cmp(total) > 0 {
				sum[name] = n
			}
		}
	}
	add(pod.Spec.Overhead)
	return sum
}

// claims: devices of dynamic resource allocation start no group from zero.
func (c *Cluster) claims(pod *corev1.Pod, g Group, p picture) []Problem {
	if len(pod.Spec.ResourceClaims) == 0 || p.source == FromNode {
		return nil
	}
	return []Problem{{CodeClaims, Keeps, "DynamicResources", pod.Spec.ResourceClaims[0].Name,
		"the Pod has resource claims, and no group without a node can promise a device (kubernetes/autoscaler#10199); the autoscaler says \"cannot allocate all claims\"",
		"keep one node in the group (min-size 1), or ask by labels instead of claims"}}
}

// matching are the Pods of a namespace that a selector takes, with the nodes that they run on.
func (c *Cluster) matching(namespace string, selector *metav1.LabelSelector) map[string]int {
	s, err := metav1.LabelSelectorAsSelector(selector)
	on := map[string]int{}
	if err != nil {
		return on
	}
	for i := range c.Pods {
		if q := &c.Pods[i]; q.Namespace == namespace && q.Spec.NodeName != "" && q.DeletionTimestamp == nil && s.Matches(labels.Set(q.Labels)) {
			on[q.Spec.NodeName]++
		}
	}
	return on
}

// spread: a new node must have the label that Pods are spread over.
func (c *Cluster) spread(pod *corev1.Pod, g Group, p picture) (problems []Problem) {
	for _, s := range pod.Spec.TopologySpreadConstraints {
		if s.WhenUnsatisfiable != corev1.DoNotSchedule {
			continue
		}
		domain, has := p.node.Labels[s.TopologyKey]
		if !has {
			problems = append(problems, Problem{CodeHostUnknown, Keeps, "PodTopologySpread", s.TopologyKey,
				"nothing says what a new node would have there: the autoscaler says \"didn't match pod topology spread constraints (missing required label)\"",
				"one group per value, each of which promises it in its labels annotation; or whenUnsatisfiable: ScheduleAnyway. " + annotate(g, keyLabels, s.TopologyKey+"=VALUE")})
			continue
		}
		count := map[string]int{}
		on := c.matching(pod.Namespace, s.LabelSelector)
		required := nodeaffinity.GetRequiredNodeAffinity(pod)
		for i := range c.Nodes {
			if ok, err := required.Match(&c.Nodes[i]); err != nil || !ok {
				continue
			}
			if d, ok := c.Nodes[i].Labels[s.TopologyKey]; ok {
				count[d] += on[c.Nodes[i].Name]
			}
		}
		count[domain] += 0
		least := count[domain]
		for _, n := range count {
			least = min(least, n)
		}
		if s.MinDomains != nil && len(count) < int(*s.MinDomains) {
			least = 0
		}
		if skew := count[domain] + 1 - least; skew > int(s.MaxSkew) {
			problems = append(problems, Problem{CodePredicate, Keeps, "PodTopologySpread", s.TopologyKey,
				fmt.Sprintf("%s=%s would have %d more of these Pods than another value, at most %d are permitted", s.TopologyKey, domain, skew, s.MaxSkew), "add a node where there are fewer"})
		}
	}
	return problems
}

// apart: Pods that must not be on one host as others.
func (c *Cluster) apart(pod *corev1.Pod, g Group, p picture) (problems []Problem) {
	a := pod.Spec.Affinity
	if a == nil || a.PodAntiAffinity == nil {
		return nil
	}
	for _, term := range a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution {
		domain, has := p.node.Labels[term.TopologyKey]
		if !has {
			problems = append(problems, Problem{CodeHostUnknown, Misleads, "InterPodAffinity", term.TopologyKey,
				"nothing says what a new node would have there, so the autoscaler believes that the Pod fits, also if the node comes to the same place",
				"one group per value, each of which promises it in its labels annotation"})
			continue
		}
		on := map[string]int{}
		for _, namespace := range append([]string{}, spacesOf(term, pod)...) {
			for node, n := range c.matching(namespace, term.LabelSelector) {
				on[node] += n
			}
		}
		for i := range c.Nodes {
			if n := &c.Nodes[i]; on[n.Name] > 0 && n.Labels[term.TopologyKey] == domain {
				problems = append(problems, Problem{CodePredicate, Keeps, "InterPodAffinity", term.TopologyKey,
					fmt.Sprintf("a Pod on Node %s has %s=%s already, as a new node would; the autoscaler says \"didn't match pod anti-affinity rules\"", n.Name, term.TopologyKey, domain),
					"one group per value, each of which promises its own in its labels annotation"})
				break
			}
		}
	}
	return problems
}

func spacesOf(term corev1.PodAffinityTerm, pod *corev1.Pod) []string {
	if len(term.Namespaces) > 0 {
		return term.Namespaces
	}
	return []string{pod.Namespace}
}
