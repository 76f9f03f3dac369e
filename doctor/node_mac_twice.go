package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

var macTwice = Check{
	Code:  "TSU7113",
	Title: "two nodes have one MAC",
	Explain: `Cards of virtual machines that were cloned with their MAC, or that were given one by hand twice. A switch sends each frame to the node that spoke last, ` +
		`so both lose connections now and then.`,
	Needs: []Part{OnNodes},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		of := map[string][]string{}
		for _, n := range s.OnNodes {
			for _, i := range n.Status.Interfaces {
				at := n.Name + "/" + i.Name
				// Members of a bond have its MAC, and so may what stands on a card: once for a node.
				if i.PCI == "" || i.MAC == "" || slices.ContainsFunc(of[i.MAC], func(o string) bool { return strings.HasPrefix(o, n.Name+"/") }) {
					continue
				}
				of[i.MAC] = append(of[i.MAC], at)
			}
		}
		for _, mac := range slices.Sorted(maps.Keys(of)) {
			if all := of[mac]; len(all) > 1 {
				node, _, _ := strings.Cut(all[0], "/")
				found = append(found, Finding{Severity: Error, Object: Object{"Node", "", node},
					Cause:  fmt.Sprintf("%s is the MAC of %s", mac, strings.Join(all, " and of ")),
					Breaks: "where both are on one segment, both lose frames",
					Fix:    "give one of the machines a MAC of its own: on vSphere remove the card and add it again"})
			}
		}
		return found
	},
}

var mtuTooLarge = Check{
	Code:    "TSU7320",
	Title:   "MTU of a Network does not fit a node's interface",
	Explain: `Pods of the Network send frames that are larger than what the node's interface takes: they are dropped, or the Pod is refused. Small packets go through, so names are found and connections hang.`,
	Needs:   []Part{Networks, OnNodes},
	Look: func(s *Snapshot) []Finding {
		var found []Finding
		for i := range s.Networks {
			n := &s.Networks[i]
			if n.Spec.Reach == nil || n.Spec.Attachment.MTU == 0 {
				continue
			}
			var small []string
			for _, on := range s.OnNodes {
				at := slices.IndexFunc(on.Status.Networks, func(state v1alpha1.NodeNetworkState) bool { return state.Name == n.Name })
				if at < 0 {
					continue
				}
				for _, nic := range on.Status.Interfaces {
					if nic.Name == on.Status.Networks[at].Interface && nic.MTU > 0 && nic.MTU < n.Spec.Attachment.MTU {
						small = append(small, fmt.Sprintf("%s on %s has %d", nic.Name, on.Name, nic.MTU))
					}
				}
			}
			if len(small) > 0 {
				more := ""
				if len(small) > 3 {
					more = fmt.Sprintf(", and %d more", len(small)-3)
				}
				found = append(found, Finding{Severity: Error, Object: Object{"Network", "", n.Name},
					Cause:  fmt.Sprintf("spec.attachment.mtu is %d, and %s%s", n.Spec.Attachment.MTU, strings.Join(small[:min(len(small), 3)], ", "), more),
					Breaks: "large packets of its Pods are lost on these nodes",
					Fix:    fmt.Sprintf("raise the MTU of the interface to %d, on the switch too, or lower spec.attachment.mtu", n.Spec.Attachment.MTU)})
			}
		}
		return found
	},
}
