package manifest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

const crds = "../../deploy/crds"

// schemas returns the definitions under deploy/crds by kind.
func schemas(t *testing.T) map[string]Schema {
	t.Helper()
	objects, err := Read(crds)
	if err != nil {
		t.Fatal(err)
	}
	byKind := map[string]Schema{}
	for _, o := range objects {
		s, err := ParseSchema(o)
		if err != nil {
			t.Fatal(err)
		}
		byKind[s.Kind] = s
	}
	return byKind
}

func TestDefinitionsAreAccepted(t *testing.T) {
	have := schemas(t)
	for _, kind := range []string{"Network", "IPPool", "IPRegion", "IPBlock", "IPAddress", "NetworkAttachmentDefinition"} {
		if _, ok := have[kind]; !ok {
			t.Errorf("no definition of %s under deploy/crds", kind)
		}
	}
}

// What stands in the tree must be what the pinned generator makes of api/.
func TestGeneratedFilesAreCurrent(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command("go", "tool", "-modfile=tools/go.mod", "controller-gen",
		"object", "crd", "paths=./api/v1alpha1", "output:crd:dir="+dir, "output:object:dir="+dir)
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("controller-gen: %v\n%s", err, out)
	}
	made, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(made) < 6 {
		t.Fatalf("controller-gen made %q, %v", made, err)
	}
	for _, file := range made {
		name := filepath.Base(file)
		kept := filepath.Join(crds, name)
		if filepath.Ext(name) == ".go" {
			kept = filepath.Join("../../api/v1alpha1", name)
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		have, err := os.ReadFile(kept)
		if err != nil {
			t.Error(err)
		} else if !bytes.Equal(have, want) {
			t.Errorf("%s is not what api/v1alpha1 says: run make generate", kept)
		}
	}
}
