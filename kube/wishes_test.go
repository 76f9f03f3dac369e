package kube

import (
	"testing"

	"github.com/tsunagu-net/tsunagu/attach"
)

// Wishes are those of Pods that nobody has deleted, and of namespaces with the label of this value.
func TestWishes(t *testing.T) {
	a := newAPIServer(t)
	pod := func(name string, more map[string]any) any {
		m := map[string]any{"annotations": map[string]string{attach.SelectionAnnotation: "blue"}}
		for k, v := range more {
			m[k] = v
		}
		return meta("meta.k8s.io/v1", "PartialObjectMetadata", "default", name, "u-"+name, m)
	}
	a.objects["/api/v1/pods/stays"] = pod("stays", nil)
	a.objects["/api/v1/pods/goes"] = pod("goes", map[string]any{"deletionTimestamp": "2026-01-01T00:00:00Z"})
	a.objects["/api/v1/namespaces/default"] = meta("meta.k8s.io/v1", "PartialObjectMetadata", "", "default", "n", map[string]any{"labels": map[string]string{attach.LiveMark: attach.LiveValue}})
	pods := NewPods(a.Client, "node-1")
	w := NewWishes(a.Client, pods)
	if all, known := w.Here(); known || len(all) > 0 {
		t.Errorf("before anything was read: %v, %v", all, known)
	}
	run(t, pods.Run)
	run(t, w.Run)
	eventually(t, "known", func() bool { _, known := w.Here(); return known })
	if all, _ := w.Here(); len(all) != 1 || all[0].Name != "stays" || all[0].Networks != "blue" {
		t.Errorf("wishes are those of %+v", all)
	}
	if !w.Live("default") || w.Live("other") {
		t.Errorf("live: %v %v", w.Live("default"), w.Live("other"))
	}
}
