package snapshot

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A directory as people send it: dumps, manifests, logs, and things that are none of these.
func TestFromFiles(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write([]byte("I1123 no node group config\n")); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"dump.yaml":            mixed,
		"pods.json":            `{"kind":"PodList","apiVersion":"v1","items":[{"metadata":{"name":"d"}}]}`,
		"half.yaml":            "apiVersion: v1\nkind: Node\nmetadata: {name: n2}\n---\n[",
		"values.yaml":          "kubeProxyReplacement: true\n",
		"logs/ca.log.gz":       packed.String(),
		"node1/10-mac.conf":    `{"type":"macvlan"}`,
		"broken.gz":            "not packed",
		"etcd.snapshot":        "a\x00b",
		"empty.log":            "",
		".git/objects/ignored": "x",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s, passed, err := FromFiles([]string{dir})
	if err != nil {
		t.Fatal(err)
	}
	if names(s) != "a b c d" || len(s.Nodes) != 2 {
		t.Errorf("have Pods %s, %d nodes", names(s), len(s.Nodes))
	}
	var texts, named []string
	for _, text := range s.Texts {
		texts = append(texts, strings.TrimPrefix(text.Name, dir+"/"))
	}
	for _, p := range passed {
		named = append(named, strings.TrimPrefix(p.File, dir+"/"))
	}
	if want := []string{"logs/ca.log.gz", "node1/10-mac.conf", "values.yaml"}; !slices.Equal(texts, want) {
		t.Errorf("want texts %v, have %v", want, texts)
	}
	if want := []string{"broken.gz", "empty.log", "etcd.snapshot", "half.yaml", "values.yaml"}; !slices.Equal(named, want) {
		t.Errorf("want %v named, have %v", want, passed)
	}
	if _, _, err := FromFiles([]string{filepath.Join(dir, "absent")}); err == nil {
		t.Error("a path that is not there is no error")
	}
}
