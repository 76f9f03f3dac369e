package admission

import (
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

func has(name string, ready ...string) *v1alpha1.NodeNetwork {
	o := &v1alpha1.NodeNetwork{ObjectMeta: metav1.ObjectMeta{Name: name}}
	for _, n := range ready {
		o.Status.Networks = append(o.Status.Networks, v1alpha1.NodeNetworkState{Name: n, Phase: v1alpha1.NetworkPhaseReady})
	}
	o.Status.Networks = append(o.Status.Networks, v1alpha1.NodeNetworkState{Name: "absent", Phase: v1alpha1.NetworkPhaseMissing, Message: "no eth9"})
	return o
}

func TestNowhere(t *testing.T) {
	nodes := []*v1alpha1.NodeNetwork{has("n1", "blue"), has("n2", "red"), has("n3"), has("n4"), has("n5")}
	for _, c := range []struct{ networks, want string }{
		{"blue", ""},
		{"blue,red", "no node has all networks of the Pod, so it waits until one does: blue is on n1; red is on n2"},
		{"absent", "no node has network absent, so the Pod waits until one does; n1: no eth9; n2: no eth9; n3: no eth9; and 2 more nodes"},
		{"blue,green", "no node has network green, so the Pod waits until one does; n1: has not looked for it yet; n2: has not looked for it yet; n3: has not looked for it yet; and 2 more nodes"},
	} {
		if got := strings.Join(Nowhere(strings.Split(c.networks, ","), nodes), " | "); got != c.want {
			t.Errorf("%s: %q, want %q", c.networks, got, c.want)
		}
	}
}

// Pods like each other cost one look at all nodes.
func BenchmarkNowhere(b *testing.B) {
	var nodes []*v1alpha1.NodeNetwork
	var networks []string
	for i := range 50 {
		networks = append(networks, fmt.Sprint("net", i))
	}
	for i := range 1000 {
		nodes = append(nodes, has(fmt.Sprint("node", i), networks...))
	}
	for b.Loop() {
		Nowhere([]string{"net10", "absent"}, nodes)
	}
}
