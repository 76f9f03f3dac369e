package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"archive/tar"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

var some = map[string]file{
	"usr/bin/b":  {0o755, []byte("bbb")},
	"usr/bin/a":  {0o755, []byte("a")},
	"etc/passwd": {0o644, []byte("root:x:0:0::/:\n")},
}

func write(t *testing.T, when time.Time) string {
	t.Helper()
	img, err := image(some, "amd64", "v1", when)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "dist", "image.tar")
	tag, _ := name.NewTag("ghcr.io/tsunagu-net/tsunagu:v1")
	if _, err := writeArchive(path, img, tag, when); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSameInputSameBytes(t *testing.T) {
	one, _ := os.ReadFile(write(t, time.Unix(1, 0)))
	two, _ := os.ReadFile(write(t, time.Unix(1, 0)))
	if len(one) == 0 || !bytes.Equal(one, two) {
		t.Errorf("two builds differ: %d and %d bytes", len(one), len(two))
	}
	if three, _ := os.ReadFile(write(t, time.Unix(2, 0))); bytes.Equal(one, three) {
		t.Error("SOURCE_DATE_EPOCH changes nothing")
	}
}

// Docker reads manifest.json, containerd the OCI layout; both must name the
// same valid image.
func TestBothFormatsAreRead(t *testing.T) {
	path := write(t, time.Unix(0, 0))
	docker, err := tarball.ImageFromPath(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(docker); err != nil {
		t.Error("docker:", err)
	}
	dir := t.TempDir()
	unpack(t, path, dir)
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil {
		t.Error("oci:", err)
	}
	m, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Manifests[0].Annotations["io.containerd.image.name"]; got != "ghcr.io/tsunagu-net/tsunagu:v1" {
		t.Errorf("containerd would call it %q", got)
	}
	oci, err := index.Image(m.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	a, _ := docker.ConfigName()
	if b, _ := oci.ConfigName(); a != b {
		t.Errorf("docker's image is %s, containerd's %s", a, b)
	}
}

func TestLayerIsSorted(t *testing.T) {
	raw, err := layer(some, time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	// POSIX.1-2017 pax, ustar interchange format: whole records, two of zeros at the end.
	if end := raw[max(0, len(raw)-1024):]; len(raw)%512 != 0 || len(bytes.Trim(end, "\x00")) != 0 {
		t.Errorf("the archive of %d bytes has no end", len(raw))
	}
	var have []string
	for r := tar.NewReader(bytes.NewReader(raw)); ; {
		h, err := r.Next()
		if err != nil {
			break
		}
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" || !h.ModTime.Equal(time.Unix(0, 0)) {
			t.Errorf("%s: owner or time of this machine: %+v", h.Name, h)
		}
		have = append(have, h.Name)
	}
	if got, want := strings.Join(have, " "), "etc/ etc/passwd usr/ usr/bin/ usr/bin/a usr/bin/b"; got != want {
		t.Errorf("layer holds %q, want %q", got, want)
	}
}

func TestImageNameIsTheManifests(t *testing.T) {
	for _, c := range []struct{ yaml, want, fault string }{
		{"      - image: ghcr.io/a/b:v1\n        image: \"ghcr.io/a/b:v1\"\n", "ghcr.io/a/b:v1", ""},
		{"image: ghcr.io/a/b:v1\nimage: ghcr.io/a/b:v2\n", "", "two images"},
		{"kind: Namespace\n", "", "image of"},
	} {
		path := filepath.Join(t.TempDir(), "m.yaml")
		if err := os.WriteFile(path, []byte(c.yaml), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := imageName(path)
		if c.fault == "" && (err != nil || got.Name() != c.want) || c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault)) {
			t.Errorf("%q: %q, %v", c.yaml, got.Name(), err)
		}
	}
}

func TestEpoch(t *testing.T) {
	if w, err := epoch("1700000000"); err != nil || w.Unix() != 1700000000 {
		t.Error(w, err)
	}
	if _, err := epoch("yesterday"); err == nil {
		t.Error("SOURCE_DATE_EPOCH=yesterday is accepted")
	}
}

func unpack(t *testing.T, path, dir string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if err != nil {
			return
		}
		to := filepath.Join(dir, filepath.FromSlash(h.Name))
		if h.Typeflag == tar.TypeDir {
			err = os.MkdirAll(to, 0o755)
		} else {
			var data bytes.Buffer
			if _, err = data.ReadFrom(r); err == nil {
				err = os.WriteFile(to, data.Bytes(), 0o644)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
