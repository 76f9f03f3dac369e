package controller

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/attach"
)

// What 1000 nodes, 50 networks of port groups and 200 Pods that wait cost in each round, which is once a second. The fake's own lists are part of it.
func BenchmarkObserveLargeCluster(b *testing.B) {
	var objects []client.Object
	for i := range 50 {
		objects = append(objects, &v1alpha1.Network{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("net", i)}, Spec: v1alpha1.NetworkSpec{Reach: &v1alpha1.Reach{PortGroup: &v1alpha1.PortGroup{Name: fmt.Sprint("pg", i)}}}})
	}
	for i := range 1000 {
		name := fmt.Sprint("node", i)
		labels := map[string]string{}
		for j := range 20 {
			labels[fmt.Sprint("example.com/label", j)] = "value"
		}
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
		node.Status.NodeInfo.SystemUUID = name
		objects = append(objects, node, &v1alpha1.NodeNetwork{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	for i := range 200 {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: fmt.Sprint("pod", i), Annotations: map[string]string{attach.SelectionAnnotation: fmt.Sprint("net", i%50)}}}
		p.Spec.NodeSelector = map[string]string{"example.com/label7": "value"}
		objects = append(objects, p)
	}
	scheme, err := kinds()
	if err != nil {
		b.Fatal(err)
	}
	c := fakeOf(scheme, objects...)
	r := newCards(c, c, "")
	r.now = time.Now
	r.needs = func(_ context.Context, annotation, _ string) ([]string, error) { return []string{annotation}, nil }
	for b.Loop() {
		s, err := r.observe(b.Context())
		if err != nil || len(s.world.Waiting) != 200 || !s.world.Waiting[0].On["node7"] {
			b.Fatalf("%d Pods wait, %v", len(s.world.Waiting), err)
		}
	}
}
