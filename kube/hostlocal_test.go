package kube

import (
	"testing"

	"github.com/tsunagu-net/tsunagu/attach"
)

const hostLocalConfig = `{"type":"ptp","ipam":{"type":"host-local","subnet":"10.1.0.0/24"}}`

// A definition of type host-local counts where it says, else where its namespace says.
func TestWhatCountsInTheCluster(t *testing.T) {
	a := newAPIServer(t)
	define := func(namespace, name string, annotations map[string]string) {
		a.objects["/apis/k8s.cni.cncf.io/v1/namespaces/"+namespace+"/network-attachment-definitions/"+name] = meta("k8s.cni.cncf.io/v1", "NetworkAttachmentDefinition", namespace, name, "u-"+name,
			map[string]any{"annotations": annotations, "spec": map[string]string{"config": hostLocalConfig}})
	}
	define("default", "plain", nil)
	define("default", "annotated", map[string]string{attach.HostLocalMark: "cluster"})
	define("default", "misspelt", map[string]string{attach.HostLocalMark: "yes"})
	define("shared", "labelled", nil)
	define("shared", "otherwise", map[string]string{attach.HostLocalMark: "node"})
	a.objects["/api/v1/namespaces/shared"] = meta("meta.k8s.io/v1", "PartialObjectMetadata", "", "shared", "n1", map[string]any{"labels": map[string]string{attach.HostLocalMark: "cluster"}})
	d := NewDefinitions(a.Client)
	run(t, d.Run)
	eventually(t, "synced", func() bool { return d.Synced() && d.marked.Synced() })
	for key, want := range map[[2]string]attach.Count{{"default", "plain"}: "", {"default", "annotated"}: attach.CountCluster, {"default", "misspelt"}: "",
		{"shared", "labelled"}: attach.CountCluster, {"shared", "otherwise"}: attach.CountNode} {
		if got, err := d.Definition(t.Context(), key[0], key[1]); err != nil || got.Count != want {
			t.Errorf("%v: %+v, %v", key, got, err)
		}
	}
}

// Before the copy of the namespaces is complete they are asked for, and an API server that does not answer is no "no".
func TestUnknownNamespaceIsAskedFor(t *testing.T) {
	a := newAPIServer(t)
	a.objects["/api/v1/namespaces/shared"] = meta("meta.k8s.io/v1", "PartialObjectMetadata", "", "shared", "n1", map[string]any{"labels": map[string]string{attach.HostLocalMark: "cluster"}})
	m := newMarkedNamespaces(a.Client, "of the test", attach.HostLocalMark, "")
	if got, err := m.value(t.Context(), "shared"); got != "cluster" || err != nil {
		t.Error(got, err)
	}
	if _, err := m.value(t.Context(), "unknown"); err == nil {
		t.Error("a namespace that cannot be read is not marked")
	}
}

func TestElsewhere(t *testing.T) {
	a := newAPIServer(t)
	pod := func(name, status string) {
		a.objects["/api/v1/namespaces/default/pods/"+name] = meta("meta.k8s.io/v1", "PartialObjectMetadata", "default", name, "u-"+name,
			map[string]any{"annotations": map[string]string{statusAnnotation: status}})
	}
	e := NewElsewhere(a.Client, "node-1")
	look := func() attach.Neighbour {
		t.Helper()
		n, err := e.Other(t.Context(), "default/red", []string{"10.1.0.2"})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := look(); n != (attach.Neighbour{}) {
		t.Errorf("%+v", n)
	}
	pod("other-network", `[{"name":"default/red-2","ips":["10.1.0.2"]}]`)
	pod("broken", `default/red`)
	if n := look(); n != (attach.Neighbour{}) {
		t.Errorf("%+v", n)
	}
	pod("a", `[{"name":"tsunagu","ips":["10.244.0.2"]},{"name":"default/red","ips":["10.1.0.9"]}]`)
	if n := look(); n != (attach.Neighbour{Pod: "default/a"}) {
		t.Errorf("%+v", n)
	}
	pod("b", `[{"name":"default/red","ips":["10.1.0.2"]}]`)
	if n := look(); n != (attach.Neighbour{Pod: "default/b", Same: "10.1.0.2"}) {
		t.Errorf("%+v", n)
	}
}
