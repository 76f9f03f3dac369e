package scaleup

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Cluster is all that a verdict is made of.
type Cluster struct {
	Autoscaler Autoscaler
	// Groups are the MachineDeployments, MachineSets of their own and MachinePools.
	Groups []Group
	// Templates are the infrastructure templates that groups refer to, as far as they could be read.
	Templates []unstructured.Unstructured
	Machines  []unstructured.Unstructured
	Nodes     []corev1.Node
	Pods      []corev1.Pod
}
