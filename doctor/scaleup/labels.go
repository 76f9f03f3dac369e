package scaleup

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// readLabels reads the labels that the group promises, the way the autoscaler does: split at commas, then at the first "=", nothing
// trimmed, nothing checked.
func readLabels(g Group, v Version) (promised map[string]string, problems []Problem) {
	text, set := g.Annotations[keyLabels]
	promised = map[string]string{}
	if !set || text == "" {
		return promised, nil
	}
	if v.Before(sinceLabels) {
		return promised, []Problem{tooOld(keyLabels, text, v)}
	}
	var right []string
	wrong := false
	for i, item := range strings.Split(text, ",") {
		key, value, ok := strings.Cut(item, "=")
		if ok {
			promised[key] = value
		}
		why := badLabel(key, value, ok)
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if seen := slices.IndexFunc(right, func(s string) bool { return strings.HasPrefix(s, key+"=") }); why == "" && seen >= 0 {
			why = fmt.Sprintf("key %q is there twice, the last counts", key)
			right = slices.Delete(right, seen, seen+1)
		}
		if ok && len(validation.IsQualifiedName(key)) == 0 && len(validation.IsValidLabelValue(value)) == 0 {
			right = append(right, key+"="+value)
		}
		if why != "" {
			wrong = true
			problems = append(problems, Problem{Code: CodeBadLabels, Effect: Misleads, Field: keyLabels, Value: text,
				Why: fmt.Sprintf("item %d, %q: %s; no Pod that selects the label fits a new node", i+1, item, why)})
		}
	}
	for i := range problems {
		if wrong {
			problems[i].Fix = annotate(g, keyLabels, strings.Join(right, ","))
		}
	}
	return promised, problems
}

// badLabel says what is wrong with an item as it is written, or "".
func badLabel(key, value string, ok bool) string {
	switch {
	case !ok:
		return "it has no \"=\", and the autoscaler drops it"
	case key != strings.TrimSpace(key) || value != strings.TrimSpace(value):
		return fmt.Sprintf("blanks are kept, the key is %q and the value %q", key, value)
	}
	if errs := validation.IsQualifiedName(key); len(errs) > 0 {
		return fmt.Sprintf("%q is no key of a label: %s", key, errs[0])
	}
	if errs := validation.IsValidLabelValue(value); len(errs) > 0 {
		return fmt.Sprintf("%q is no value of a label: %s", value, errs[0])
	}
	return ""
}

func tooOld(key, text string, v Version) Problem {
	return Problem{CodeOldLabels, Ignored, key, text, fmt.Sprintf("Cluster Autoscaler %s does not read it, %s and later do", v, sinceLabels),
		fmt.Sprintf("use Cluster Autoscaler %s or later; with the Helm chart set image.tag, its version is another", sinceLabels)}
}

// readTaints reads the taints that the group promises: those of the annotation, and from 1.36 on those of the machine's template.
func readTaints(g Group, v Version) (taints []corev1.Taint, problems []Problem) {
	text := g.Annotations[keyTaints]
	switch {
	case text != "" && v.Before(sinceLabels):
		problems = append(problems, tooOld(keyTaints, text, v))
	case text != "":
		for i, item := range strings.Split(text, ",") {
			t, why := readTaint(item)
			if why == "" {
				taints = append(taints, t)
				continue
			}
			problems = append(problems, Problem{CodeBadTaint, Misleads, keyTaints, text, fmt.Sprintf("item %d, %q: %s; new nodes have the taint and Pods that do not tolerate it make the autoscaler add nodes for nothing", i+1, item, why),
				"write key=value:Effect or key:Effect, where Effect is NoSchedule, PreferNoSchedule or NoExecute"})
		}
	}
	if !v.Before(sinceTaints) {
		taints = append(taints, g.TemplateTaints...)
	}
	return taints, problems
}

func readTaint(item string) (t corev1.Taint, why string) {
	pair, effect, ok := strings.Cut(item, ":")
	t.Key, t.Value, _ = strings.Cut(pair, "=")
	t.Effect = corev1.TaintEffect(effect)
	switch {
	case !ok:
		return t, "it has no effect, and the autoscaler drops it"
	case t.Effect != corev1.TaintEffectNoSchedule && t.Effect != corev1.TaintEffectPreferNoSchedule && t.Effect != corev1.TaintEffectNoExecute:
		return t, fmt.Sprintf("%q is no effect, and the taint is ignored", effect)
	}
	return t, ""
}

// Synced tells whether Cluster API carries a label from a machine's template to its Node (docs: metadata propagation).
func Synced(key string) bool {
	domain, _, ok := strings.Cut(key, "/")
	if !ok {
		return false
	}
	if domain == "node-role.kubernetes.io" {
		return true
	}
	for _, d := range []string{"node-restriction.kubernetes.io", "node.cluster.x-k8s.io"} {
		if domain == d || strings.HasSuffix(domain, "."+d) {
			return true
		}
	}
	return false
}

// unsynced are promised labels that Cluster API puts on no Node, so that the autoscaler may add node after node for a Pod that never fits.
func unsynced(g Group, promised map[string]string) (problems []Problem) {
	for _, key := range keysOf(promised) {
		domain, _, _ := strings.Cut(key, "/")
		wellKnown := domain == "kubernetes.io" || domain == "node.kubernetes.io" || domain == "topology.kubernetes.io"
		if Synced(key) || wellKnown || badLabel(key, promised[key], true) != "" {
			continue
		}
		problems = append(problems, Problem{CodeUnsynced, Misleads, keyLabels, key + "=" + promised[key],
			"Cluster API carries it to no Node: unless the kubelet sets it (--node-labels), nodes come without it, the Pod does not fit, and they are removed again",
			"use a key of node-restriction.kubernetes.io or node.cluster.x-k8s.io, or start Cluster API with --additional-sync-machine-labels"})
	}
	return problems
}
