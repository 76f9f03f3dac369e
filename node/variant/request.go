package variant

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

// Scaler is who changes the number of machines. There is one for a pool, never two.
type Scaler string

// The scalers.
const (
	// Autoscaler is the Cluster Autoscaler, the default.
	Autoscaler Scaler = "autoscaler"
	// Own is tsunagu's controller.
	Own Scaler = "tsunagu"
)

// Request is what the owner of a MachineDeployment asks for.
type Request struct {
	// Sets are the Networks of each pool's nodes, in order.
	Sets [][]string
	// Hosts are failure domains, a pool in each; none for pools that are not bound to any.
	Hosts []string
	// PortGroups are those that new virtual machines get a card on, by Network.
	PortGroups map[string]string
	Scaler     Scaler
	// Min and Max bound the machines of each pool.
	Min, Max int
	// Idle is how long tsunagu keeps a node without Pods, as its annotation says; empty for the default.
	Idle string
}

// Parse reads a MachineDeployment's annotations. One that asks for no pools gives false. An error says what its owner must change.
func Parse(base *unstructured.Unstructured) (r Request, asks bool, err error) {
	a := base.GetAnnotations()
	sets, asks := a[v1alpha1.PoolSetsAnnotation]
	if !asks {
		return r, false, nil
	}
	wrong := func(key, why, fix string) (Request, bool, error) {
		return r, true, fmt.Errorf("MachineDeployment %s/%s: %s %q %s, so no pools are made of it. To fix: %s", base.GetNamespace(), base.GetName(), key, a[key], why, fix)
	}
	if len(base.GetName()) > validation.LabelValueMaxLength {
		return wrong(v1alpha1.PoolSetsAnnotation, "is on one whose name is longer than a label's value may be", "give it a shorter name")
	}
	for _, text := range strings.Split(sets, ";") {
		set, bad := names(text)
		if bad != "" {
			return wrong(v1alpha1.PoolSetsAnnotation, fmt.Sprintf("has %q, which is no name of a Network", bad), `write sets of names, such as "blue,storage; red"`)
		}
		if len(set) > 0 && !slices.ContainsFunc(r.Sets, func(s []string) bool { return slices.Equal(s, set) }) {
			r.Sets = append(r.Sets, set)
		}
	}
	if len(r.Sets) == 0 {
		return wrong(v1alpha1.PoolSetsAnnotation, "names no Network", `write sets of names, such as "blue,storage; red"`)
	}
	var bad string
	if r.Hosts, bad = names(a[v1alpha1.PoolHostsAnnotation]); bad != "" {
		return wrong(v1alpha1.PoolHostsAnnotation, fmt.Sprintf("has %q, which cannot be a label's value", bad), `write names of failure domains, such as "rack1,rack2"`)
	}
	if r.PortGroups, bad = pairs(a[v1alpha1.PoolPortGroupsAnnotation]); bad != "" {
		return wrong(v1alpha1.PoolPortGroupsAnnotation, fmt.Sprintf("has %q", bad), `write a port group for a Network, such as "blue=vlan120,storage=vlan130"`)
	}
	switch r.Scaler = Scaler(a[v1alpha1.PoolScalerAnnotation]); r.Scaler {
	case "":
		r.Scaler = Autoscaler
	case Autoscaler, Own:
	default:
		return wrong(v1alpha1.PoolScalerAnnotation, "is nobody who scales", `write "autoscaler" or "tsunagu"`)
	}
	if text, ok := a[v1alpha1.PoolMinAnnotation]; ok {
		if r.Min, err = strconv.Atoi(text); err != nil || r.Min < 0 {
			return wrong(v1alpha1.PoolMinAnnotation, "is no number of nodes", `write one, such as "0"`)
		}
	}
	if r.Max, err = strconv.Atoi(a[v1alpha1.PoolMaxAnnotation]); err != nil || r.Max < max(1, r.Min) {
		return wrong(v1alpha1.PoolMaxAnnotation, "is not the most nodes that a pool may have", `write a whole number not below `+v1alpha1.PoolMinAnnotation+`, such as "3"`)
	}
	if text, ok := a[v1alpha1.PoolIdleAnnotation]; ok {
		if idle, err := time.ParseDuration(text); err != nil || idle <= 0 {
			return wrong(v1alpha1.PoolIdleAnnotation, "is no duration", `write one, such as "10m"`)
		}
		r.Idle = text
	}
	return r, true, nil
}

// names reads a comma list into order; bad is the first that is no label.
func names(text string) (list []string, bad string) {
	for _, n := range strings.Split(text, ",") {
		if n = strings.TrimSpace(n); n == "" {
			continue
		}
		if len(validation.IsDNS1123Label(n)) > 0 {
			return nil, n
		}
		list = append(list, n)
	}
	slices.Sort(list)
	return slices.Compact(list), ""
}

// pairs reads name=value, separated by commas.
func pairs(text string) (m map[string]string, bad string) {
	m = map[string]string{}
	for _, item := range strings.Split(text, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		key, value, _ := strings.Cut(item, "=")
		if len(validation.IsDNS1123Label(key)) > 0 || value == "" {
			return nil, item
		}
		m[key] = value
	}
	return m, ""
}
