package variant

import (
	"fmt"
	"strconv"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Capacity is the prefix of annotations that tell Cluster Autoscaler what a node of a group will be.
const Capacity = "capacity.cluster-autoscaler.kubernetes.io/"

// sizeKeys are what the autoscaler is told of a node's size; without the first two it leaves the group out, and says nothing of it.
var sizeKeys = []string{"cpu", "memory", "ephemeral-disk", "maxPods"}

// size is what a node of a MachineDeployment will be, in the spelling that the autoscaler reads for certain: what its annotations say, or else what the
// template of its machines does.
func size(base, infra *unstructured.Unstructured) (map[string]string, error) {
	told := map[string]*resource.Quantity{}
	if infra != nil {
		spec := func(key string) int64 {
			n, _, _ := unstructured.NestedInt64(infra.Object, "spec", "template", "spec", key)
			return n
		}
		told["cpu"] = resource.NewQuantity(spec("numCPUs"), resource.DecimalSI)
		told["memory"] = resource.NewQuantity(spec("memoryMiB")<<20, resource.BinarySI)
		told["ephemeral-disk"] = resource.NewQuantity(spec("diskGiB")<<30, resource.BinarySI)
	}
	out := map[string]string{}
	for _, key := range sizeKeys {
		text, ok := base.GetAnnotations()[Capacity+key]
		if key == "maxPods" && ok {
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil || n < 1 {
				return nil, fmt.Errorf("%s %q is no whole number. To fix: write one, such as \"110\"", Capacity+key, text)
			}
			out[Capacity+key] = strconv.FormatInt(n, 10)
			continue
		}
		if ok {
			q, err := resource.ParseQuantity(text)
			if err != nil {
				return nil, fmt.Errorf("%s %q: %w. To fix: write a quantity of Kubernetes, such as 8Gi", Capacity+key, text, err)
			}
			told[key] = &q
		}
		if q := told[key]; q != nil && q.Sign() > 0 {
			out[Capacity+key] = q.String()
		}
	}
	for _, key := range sizeKeys[:2] {
		if out[Capacity+key] == "" {
			return nil, fmt.Errorf("nothing says how much %s a node has. To fix: annotate it %s", key, Capacity+key+map[string]string{"cpu": "=4", "memory": "=8Gi"}[key])
		}
	}
	return out, nil
}
