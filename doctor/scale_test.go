package doctor

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

// large is a cluster of 500 nodes with 10,000 Pods on a second network, one in
// ten of which is refused.
func large(tb testing.TB) *Snapshot {
	s := healthy(tb)
	s.Nodes, s.Pods, s.Blocks = nil, nil, nil
	for i := range 500 {
		node := corev1.Node{ObjectMeta: named("", fmt.Sprintf("node%d", i), fmt.Sprintf("uid-node%d", i))}
		node.Spec.PodCIDRs = []string{fmt.Sprintf("10.%d.%d.0/24", i/250, i%250)}
		node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "172.20.0.1"}}
		s.Nodes = append(s.Nodes, node)
		s.Pods = append(s.Pods, agent(node.Name))
		for range 4 {
			b := v1alpha1.IPBlock{ObjectMeta: named("", fmt.Sprint(len(s.Blocks)), "b")}
			b.Spec.Owner = v1alpha1.BlockOwner{Node: node.Name, NodeUID: string(node.UID)}
			s.Blocks = append(s.Blocks, b)
		}
	}
	for i := range 10_000 {
		if i%10 == 0 {
			s.Pods = append(s.Pods, waiting(fmt.Sprintf("w%d", i), "blue"))
			s.Events = append(s.Events, warning(fmt.Sprintf("w%d", i), "tsunagu-agent", "PoolFull", "full"))
			continue
		}
		p := corev1.Pod{ObjectMeta: named("demo", fmt.Sprintf("p%d", i), fmt.Sprintf("uid-%d", i))}
		p.Spec.NodeName = fmt.Sprintf("node%d", i%500)
		p.Status = corev1.PodStatus{Phase: corev1.PodRunning, StartTime: &old}
		p.Annotations = map[string]string{
			"k8s.v1.cni.cncf.io/networks": "blue",
			"k8s.v1.cni.cncf.io/network-status": fmt.Sprintf(`[{"name":"tsunagu","interface":"eth0","ips":["10.9.%[1]d.%[2]d"],"default":true},
				{"name":"demo/blue","interface":"net1","ips":["192.168.%[1]d.%[2]d"]}]`, i/250, i%250),
		}
		s.Pods = append(s.Pods, p)
	}
	return s
}

func BenchmarkRunLarge(b *testing.B) {
	s := large(b)
	for b.Loop() {
		Run(s, Checks())
	}
}

func TestLargeClusterIsUnderstood(t *testing.T) {
	r := Run(large(t), Checks())
	codes := map[string]int{}
	for _, f := range r.Findings {
		codes[f.Code]++
	}
	if codes["TSU4001"] != 1000 || codes["TSU5005"] != 0 || codes["TSU1102"] != 0 {
		t.Errorf("have %v", codes)
	}
}
