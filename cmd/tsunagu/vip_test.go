package main

import (
	"net/netip"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// What is printed is read as the kubelet and the API server do, without room for unknown fields.
func TestVIPManifestsFitTheSchema(t *testing.T) {
	for _, kind := range vipKinds {
		m := vipManifest{kind: kind, addresses: []netip.Addr{netip.MustParseAddr("10.0.0.100")}, first: "10.0.0.11", image: "x", timing: "default", weight: 1, apiPort: 6443, mode: "lease"}
		if err := m.check(); err != nil {
			t.Fatal(err)
		}
		text, err := m.render()
		if err != nil {
			t.Fatal(err)
		}
		var spec corev1.PodSpec
		if kind == "daemonset" {
			var d appsv1.DaemonSet
			err = yaml.UnmarshalStrict(text, &d)
			spec = d.Spec.Template.Spec
		} else {
			var p corev1.Pod
			err = yaml.UnmarshalStrict(text, &p)
			spec = p.Spec
		}
		if err != nil {
			t.Errorf("%s: %v\n%s", kind, err, text)
			continue
		}
		// A static Pod may name no object of the API.
		if !spec.HostNetwork || spec.ServiceAccountName != "" || len(spec.Containers) != 1 || len(spec.Containers[0].Args) == 0 {
			t.Errorf("%s: %s", kind, text)
		}
		for _, v := range spec.Volumes {
			if v.HostPath == nil {
				t.Errorf("%s: volume %s is none of the node", kind, v.Name)
			}
		}
	}
}
