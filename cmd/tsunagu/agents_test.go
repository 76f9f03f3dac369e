package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// The agents of the install report where this command asks for it.
func TestTheInstallReports(t *testing.T) {
	raw, err := os.ReadFile("../../deploy/tsunagu.yaml")
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, text := range bytes.Split(raw, []byte("\n---\n")) {
		var set appsv1.DaemonSet
		if err := yaml.Unmarshal(text, &set); err != nil || set.Kind != "DaemonSet" {
			continue
		}
		found = true
		port := statusPort(&corev1.Pod{Spec: set.Spec.Template.Spec})
		if want := fmt.Sprintf("--http=:%d", port); port == 0 || !slices.Contains(set.Spec.Template.Spec.Containers[0].Args, want) {
			t.Errorf("the agent reports at port %d, and its arguments are %v", port, set.Spec.Template.Spec.Containers[0].Args)
		}
	}
	if !found {
		t.Error("no DaemonSet in the install")
	}
}
