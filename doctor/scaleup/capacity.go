package scaleup

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// proposalExample is the memory that the Cluster API proposal on scaling from zero has as its example. It does not parse.
const proposalExample = "500mb"

// smallNode is what no node does with: less memory is a unit that was forgotten.
var smallNode = resource.MustParse("64Mi")

// defaultMaxPods is the autoscaler's for a group that does not say.
const defaultMaxPods = 110

// readCapacity reads the size of a node from the annotations. A value that does not parse makes the autoscaler drop a group that has no
// node, and it logs nothing at any verbosity.
func readCapacity(g Group, v Version) (size corev1.ResourceList, problems []Problem) {
	size = corev1.ResourceList{}
	for _, q := range []struct {
		key  string
		name corev1.ResourceName
	}{{keyCPU, corev1.ResourceCPU}, {keyMemory, corev1.ResourceMemory}, {keyDisk, corev1.ResourceEphemeralStorage}} {
		text := g.Annotations[q.key]
		if text == "" || text == "0" {
			continue
		}
		if q.key == keyDisk && v.Before(sinceDisk) {
			continue
		}
		n, err := resource.ParseQuantity(text)
		if err != nil {
			problems = append(problems, unparsable(g, q.key, text, q.name))
			continue
		}
		size[q.name] = n
		problems = append(problems, odd(g, q.key, text, q.name, n)...)
	}
	size[corev1.ResourcePods] = *resource.NewQuantity(defaultMaxPods, resource.DecimalSI)
	for _, key := range []string{keyMaxPods, keyGPUCount} {
		text := g.Annotations[key]
		if text == "" {
			continue
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			problems = append(problems, Problem{CodeBadCapacity, Drops, key, text,
				"it is not a whole number: while the group has no node the autoscaler drops it, and logs nothing of it", annotate(g, key, wholeNumber(text))})
			continue
		}
		switch kind := g.Annotations[keyGPUType]; {
		case key == keyMaxPods:
			size[corev1.ResourcePods] = *resource.NewQuantity(n, resource.DecimalSI)
		case kind != "":
			size[corev1.ResourceName(kind)] = *resource.NewQuantity(n, resource.DecimalSI)
		}
	}
	return size, problems
}

func unparsable(g Group, key, text string, name corev1.ResourceName) Problem {
	why := "it is not a quantity: while the group has no node the autoscaler drops it, and logs nothing of it at any verbosity"
	if text == proposalExample {
		why += "; this value is the example of the Cluster API proposal, and it does not parse"
	}
	return Problem{CodeBadCapacity, Drops, key, text, why, annotate(g, key, Quantity(text, name))}
}

// odd finds quantities that parse and cannot be meant.
func odd(g Group, key, text string, name corev1.ResourceName, n resource.Quantity) []Problem {
	switch {
	case name == corev1.ResourceMemory && n.Cmp(smallNode) < 0:
		return []Problem{{CodeOddCapacity, Misleads, key, text,
			fmt.Sprintf("it means %g bytes of memory: no Pod ever fits", n.AsApproximateFloat64()), annotate(g, key, Quantity(text, name))}}
	case name == corev1.ResourceCPU && n.Value() > 1024:
		return []Problem{{CodeOddCapacity, Misleads, key, text,
			fmt.Sprintf("it means %d CPUs: the autoscaler believes that everything fits", n.Value()), annotate(g, key, strings.TrimSpace(text)+"m")}}
	}
	return nil
}

func annotate(g Group, key, value string) string {
	return fmt.Sprintf("kubectl -n %s annotate %s %s --overwrite %s=%q", g.Namespace, resourceOf(g.Kind), g.Name, key, value)
}

var amount = regexp.MustCompile(`^\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*$`)

// Quantity guesses what was meant by a text that is not a quantity of Kubernetes, or not a sensible one: 500mb is 500M, 8GiB is 8Gi. It is
// a quantity that parses, and that Kubernetes writes the same way.
func Quantity(text string, name corev1.ResourceName) string {
	const unknownCPU, unknownMemory = "4", "8Gi"
	unknown := unknownMemory
	if name == corev1.ResourceCPU {
		unknown = unknownCPU
	}
	m := amount.FindStringSubmatch(text)
	if m == nil {
		return unknown
	}
	unit, ok := map[string]string{
		"k": "k", "kb": "k", "ki": "Ki", "kib": "Ki", "m": "M", "mb": "M", "mi": "Mi", "mib": "Mi", "g": "G", "gb": "G", "gi": "Gi", "gib": "Gi", "t": "T", "tb": "T", "ti": "Ti", "tib": "Ti", "": "",
	}[strings.ToLower(m[2])]
	if name == corev1.ResourceCPU {
		unit, ok = "", true
		if strings.HasPrefix(strings.ToLower(m[2]), "m") {
			unit = "m"
		}
	}
	if name != corev1.ResourceCPU && ok && unit == "" {
		// Bare numbers that are too small were counted in something: MiB is how hypervisors count.
		unit = "Mi"
	}
	q, err := resource.ParseQuantity(m[1] + unit)
	if !ok || err != nil {
		return unknown
	}
	return q.String()
}

// wholeNumber guesses what was meant.
func wholeNumber(text string) string {
	if f, err := strconv.ParseFloat(strings.TrimSpace(text), 64); err == nil && f >= 0 && f == float64(int64(f)) {
		return strconv.FormatInt(int64(f), 10)
	}
	return strconv.Itoa(defaultMaxPods)
}
