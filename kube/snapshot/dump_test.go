package snapshot

import (
	"strings"
	"testing"
)

const mixed = `apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Pod
  metadata: {name: a, namespace: demo}
- apiVersion: whereabouts.cni.cncf.io/v1alpha1
  kind: IPPool
  metadata: {name: 10.0.0.0-24, namespace: kube-system}
  spec: {range: 10.0.0.0/24, allocations: {"1": {id: c, podref: demo/a}}}
- apiVersion: tsunagu.dev/v1alpha1
  kind: IPPool
  metadata: {name: ours}
- apiVersion: example.org/v1
  kind: Pod
  metadata: {name: of-another-group}
---
# nothing
---
{"apiVersion":"v1","kind":"PodList","items":[{"metadata":{"name":"b"}},{"metadata":{"name":"c"}}]}
{"apiVersion":"v1","kind":"Node","metadata":{"name":"n1"}}
---
apiVersion: v1
kind: NamespaceList
items: []
`

func TestFromDump(t *testing.T) {
	s, err := FromDump([]byte(mixed))
	if err != nil {
		t.Fatal(err)
	}
	if names(s) != "a b c" || len(s.Nodes) != 1 || len(s.Pools) != 1 || s.Pools[0].Name != "ours" {
		t.Errorf("have Pods %q, %d nodes, pools %v", names(s), len(s.Nodes), s.Pools)
	}
	if len(s.WhereaboutsPools) != 1 || s.WhereaboutsPools[0].Spec.Allocations["1"].PodRef != "demo/a" {
		t.Errorf("have %+v", s.WhereaboutsPools)
	}
	if _, missing := s.Unread["namespaces"]; missing || s.Unread["ipblocks"] != "not in the file" {
		t.Errorf("unread: %v", s.Unread)
	}
}

func TestFromDumpSaysWhereItIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"":               "no Kubernetes object",
		"hello":          "document 1",
		"a: b":           "without kind",
		mixed + "---\n[": "document 5",
		`{"kind":"PodList","apiVersion":"v1","items":[{"metadata":{"name":7}}]}`: "item 1: read a Pod",
	} {
		if _, err := FromDump([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: have %v, want %q", text, err, want)
		}
	}
}

func FuzzFromDump(f *testing.F) {
	f.Add([]byte(mixed))
	f.Add([]byte(`{"kind":"List","items":[{"kind":"List","items":[null]}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if s, err := FromDump(raw); err == nil && len(s.Unread) == len(s.lists()) && len(s.Pods) > 0 {
			t.Error("has Pods, and says that there is no list of them")
		}
	})
}
