package doctor

import (
	"fmt"
	"regexp"
	"strconv"
)

var machineUncounted = Check{
	Code:  "TSU7023",
	Title: "autoscaler considered fewer groups than there are",
	Explain: `The Event NotTriggerScaleUp on a Pod counts groups: "1 node(s) didn't match …, 2 Insufficient memory". If the sum is less than the number of groups ` +
		`that may grow, some were dropped without a word.`,
	Needs: []Part{Machines},
	Look: func(s *Snapshot) []Finding {
		growable := 0
		for _, g := range s.inspect().groups {
			if g.Group.Managed() {
				growable++
			}
		}
		var found []Finding
		told := map[Object]bool{}
		for i := range s.ScaleEvents {
			e := &s.ScaleEvents[i]
			about := Object{e.InvolvedObject.Kind, e.InvolvedObject.Namespace, e.InvolvedObject.Name}
			considered, ok := considered(e.Message)
			if !ok || considered >= growable || told[about] {
				continue
			}
			told[about] = true
			f := Finding{Severity: Error, Object: about, Cause: fmt.Sprintf("Cluster Autoscaler considered %d of %d groups: %q", considered, growable, e.Message),
				Breaks: "no node of the others is added for the Pod", Fix: fmt.Sprintf("tsunagu doctor scale-up --pod %s/%s says what it makes of each group", about.Namespace, about.Name)}
			if dropped := s.unseen(); len(dropped) > 0 {
				f.Cause += "; it does not see " + list(dropped)
			}
			found = append(found, f)
		}
		return found
	},
}

// reasonCounts are the numbers in front of each reason.
var reasonCounts = regexp.MustCompile(`(?:: |, )([0-9]+) `)

// considered is the number of groups in a verdict of the autoscaler.
func considered(message string) (sum int, ok bool) {
	for _, m := range reasonCounts.FindAllStringSubmatch(message, -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			return 0, false
		}
		sum, ok = sum+n, true
	}
	return sum, ok
}
