package image

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

func TestArchive(t *testing.T) {
	box, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("SKIP: needs busybox-static")
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	if err := os.WriteFile(program, []byte("not really a program"), 0o755); err != nil {
		t.Fatal(err)
	}
	p := Programs{CoreDNS: program, Agnhost: program, Busybox: box}
	make := func(cache string) string {
		t.Helper()
		out, err := Make(p, filepath.Join(dir, cache))
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	first, second := make("a"), make("b")
	a, _ := os.ReadFile(first)
	b, _ := os.ReadFile(second)
	if !bytes.Equal(a, b) {
		t.Error("the same programs make two different archives")
	}
	before, _ := os.Stat(first)
	if again := make("a"); again != first {
		t.Errorf("the archive moved from %s to %s", first, again)
	} else if after, _ := os.Stat(again); !os.SameFile(before, after) {
		t.Error("what was there was made again")
	}
	files := map[string][]byte{}
	for r := tar.NewReader(bytes.NewReader(a)); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		files[h.Name], _ = io.ReadAll(r)
	}
	var manifest []struct {
		Config           string
		RepoTags, Layers []string
	}
	if err := json.Unmarshal(files["manifest.json"], &manifest); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range manifest {
		names = append(names, m.RepoTags...)
		var conf struct {
			Rootfs struct {
				Diffs []string `json:"diff_ids"`
			}
		}
		if err := json.Unmarshal(files[m.Config], &conf); err != nil {
			t.Errorf("%v: %v", m.RepoTags, err)
		}
		for i, l := range m.Layers {
			if "sha256:"+digest(files[l]) != conf.Rootfs.Diffs[i] {
				t.Errorf("%v: layer %d is not what its configuration says", m.RepoTags, i)
			}
		}
	}
	if want := []string{Pause, CoreDNS, Busybox, Agnhost}; !slices.Equal(names, want) {
		t.Errorf("want images %v, have %v", want, names)
	}
	if err := os.WriteFile(program, []byte("another program"), 0o755); err != nil {
		t.Fatal(err)
	}
	if make("a") == first {
		t.Error("another program makes the same archive")
	}
}
