package main

import (
	"archive/tar"
	"bytes"
	"io"
	"maps"
	"path"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// file is a regular file of the image, owned by root.
type file struct {
	mode int64
	data []byte
}

// layer writes files as a tar, folders first and in the order of their names.
func layer(files map[string]file, when time.Time) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	made := map[string]bool{".": true}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := folders(w, path.Dir(name), made, when); err != nil {
			return nil, err
		}
		f := files[name]
		h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: f.mode, Size: int64(len(f.data)), ModTime: when, Format: tar.FormatPAX}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil { // writes the end
		return nil, err
	}
	return out.Bytes(), nil
}

func folders(w *tar.Writer, dir string, made map[string]bool, when time.Time) error {
	if made[dir] {
		return nil
	}
	if err := folders(w, path.Dir(dir), made, when); err != nil {
		return err
	}
	made[dir] = true
	return w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755, ModTime: when, Format: tar.FormatPAX})
}

// image puts files into an image of one layer. It starts nothing by itself: a
// manifest names the command. It runs as any user; the agent's manifest says
// root.
func image(files map[string]file, arch, version string, when time.Time) (v1.Image, error) {
	raw, err := layer(files, when)
	if err != nil {
		return nil, err
	}
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(raw)), nil
	}, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err = mutate.Append(img, mutate.Addendum{
		Layer:   l,
		History: v1.History{Created: v1.Time{Time: when}, CreatedBy: "tools/image"},
	})
	if err != nil {
		return nil, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created = "linux", arch, v1.Time{Time: when}
	config.Config = v1.Config{
		User: "65532:65532",
		Env:  []string{"PATH=/usr/bin"},
		Cmd:  []string{"/usr/bin/tsunagu", "version"},
		Labels: map[string]string{
			"org.opencontainers.image.title":    "tsunagu",
			"org.opencontainers.image.version":  version,
			"org.opencontainers.image.licenses": "Apache-2.0",
			"org.opencontainers.image.source":   "https://github.com/tsunagu-net/tsunagu",
		},
	}
	return mutate.ConfigFile(img, config)
}
