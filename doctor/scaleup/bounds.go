package scaleup

import (
	"fmt"
	"strconv"
)

// bounds are the sizes between which the autoscaler keeps a group.
type bounds struct {
	min, max int
	problems []Problem
}

// readBounds reads both annotations (cluster-autoscaler/cloudprovider/clusterapi, parseScalingBounds): each is an integer, 0 when it is
// missing; a mistake in one group is an error for all of them.
func readBounds(g Group, v Version) (b bounds) {
	var ok [2]bool
	for i, key := range []string{keyMin, keyMax} {
		text, set := g.Annotations[key]
		if !set {
			continue
		}
		ok[i] = true
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			b.problems = append(b.problems, Problem{CodeBadSizes, StopsAll, key, text,
				fmt.Sprintf("it is not a whole number of 0 or more: the autoscaler leaves out every node group of the cluster until it is corrected, and logs %q", "error getting node groups"),
				fmt.Sprintf("kubectl -n %s annotate %s %s --overwrite %s=%q", g.Namespace, resourceOf(g.Kind), g.Name, key, []string{"0", "3"}[i])})
			continue
		}
		if i == 0 {
			b.min = n
		} else {
			b.max = n
		}
	}
	switch {
	case len(b.problems) > 0:
	case !ok[1] || b.max == 0:
		missing := "it is not set"
		if ok[1] {
			missing = "it is 0"
		}
		log := "it logs \"has no scaling capacity, skipping\" at -v=4"
		if v.Before(sinceEqualSizes) {
			log = "it logs nothing of it"
		}
		b.problems = append(b.problems, Problem{CodeNoSizes, Drops, keyMax, g.Annotations[keyMax],
			missing + ": the autoscaler leaves the group out, and says of its nodes \"no node group config\"; " + log,
			fmt.Sprintf("kubectl -n %s annotate %s %s --overwrite %s=%q %s=%q", g.Namespace, resourceOf(g.Kind), g.Name, keyMin, orZero(g.Annotations[keyMin]), keyMax, "3")})
	case !ok[0]:
		// Cluster API needs both; the autoscaler takes the missing one for 0.
		b.problems = append(b.problems, Problem{CodeNoSizes, Ignored, keyMin, "",
			"it is not set: the autoscaler takes it for 0, and Cluster API does not choose the first number of replicas by it",
			fmt.Sprintf("kubectl -n %s annotate %s %s %s=%q", g.Namespace, resourceOf(g.Kind), g.Name, keyMin, "0")})
	case b.max < b.min:
		b.problems = append(b.problems, Problem{CodeBadSizes, StopsAll, keyMax, g.Annotations[keyMax],
			fmt.Sprintf("it is less than min-size %d: the autoscaler leaves out every node group of the cluster until it is corrected", b.min),
			fmt.Sprintf("kubectl -n %s annotate %s %s --overwrite %s=%q", g.Namespace, resourceOf(g.Kind), g.Name, keyMax, strconv.Itoa(b.min))})
	case b.max == b.min && v.Before(sinceEqualSizes):
		b.problems = append(b.problems, Problem{CodeEqualSizes, Drops, keyMax, g.Annotations[keyMax],
			fmt.Sprintf("it equals min-size: Cluster Autoscaler %s leaves such a group out without a word (1.30 and later do not)", v),
			"make max-size larger, or use Cluster Autoscaler 1.30 or later"})
	}
	return b
}

func orZero(text string) string {
	if text == "" {
		return "0"
	}
	return text
}

// resourceOf is the plural that kubectl knows a kind by.
func resourceOf(kind string) string {
	switch kind {
	case "MachineSet":
		return "machinesets"
	case "MachinePool":
		return "machinepools"
	}
	return "machinedeployments"
}
