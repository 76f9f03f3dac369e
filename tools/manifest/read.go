// Package manifest proves that what stands under deploy/ holds together: the
// definitions are those of api/ and refuse what they should with a clear
// message, the examples are valid, and the chart renders the plain manifests.
//
// It knows YAML and the API server's own validation, run in this process; it
// needs no cluster. Start at Read and Schema; the proofs are the tests.
package manifest

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// Read returns the objects of a YAML file, or of all .yaml files directly in a
// folder in the order of their names.
func Read(path string) ([]unstructured.Unstructured, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	files := []string{path}
	if info.IsDir() {
		if files, err = filepath.Glob(filepath.Join(path, "*.yaml")); err != nil {
			return nil, err
		}
		sort.Strings(files)
	}
	var all []unstructured.Unstructured
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		objects, err := Decode(raw)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
		all = append(all, objects...)
	}
	return all, nil
}

// Decode returns the objects of a stream of YAML documents; empty documents
// are left out.
func Decode(raw []byte) ([]unstructured.Unstructured, error) {
	var objects []unstructured.Unstructured
	d := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(raw), 4096)
	for {
		var text stdjson.RawMessage
		err := d.Decode(&text)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		var o unstructured.Unstructured
		if err == nil && len(text) > 0 {
			err = json.Unmarshal(text, &o.Object) // whole numbers as int64
		}
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", len(objects)+1, err)
		}
		if len(o.Object) > 0 {
			objects = append(objects, o)
		}
	}
}
