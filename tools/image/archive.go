package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// writeArchive writes img to path as an OCI layout (image-spec v1.1,
// image-layout.md) in a tar, with the manifest.json beside it that docker load
// wants; both speak of the same blobs. The file appears only when complete. It
// returns the digest of the image's manifest.
func writeArchive(path string, img v1.Image, tag name.Tag, when time.Time) (v1.Hash, error) {
	digest, err := img.Digest()
	if err != nil {
		return v1.Hash{}, err
	}
	files, err := archive(img, tag)
	if err != nil {
		return v1.Hash{}, fmt.Errorf("write %s: %w", path, err)
	}
	raw, err := layer(files, when)
	if err != nil {
		return v1.Hash{}, fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return v1.Hash{}, err
	}
	if err := os.WriteFile(path+".part", raw, 0o644); err != nil {
		return v1.Hash{}, err
	}
	return digest, os.Rename(path+".part", path)
}

// archive returns the files of the archive by name.
func archive(img v1.Image, tag name.Tag) (map[string]file, error) {
	manifest, err := img.RawManifest()
	if err != nil {
		return nil, err
	}
	config, err := img.RawConfigFile()
	if err != nil {
		return nil, err
	}
	files := map[string]file{"oci-layout": {mode: 0o644, data: []byte(`{"imageLayoutVersion":"1.0.0"}`)}}
	blob := func(data []byte) (string, v1.Hash, error) {
		h, _, err := v1.SHA256(bytes.NewReader(data))
		path := "blobs/" + h.Algorithm + "/" + h.Hex
		files[path] = file{mode: 0o644, data: data}
		return path, h, err
	}
	_, digest, err := blob(manifest)
	if err != nil {
		return nil, err
	}
	configPath, _, err := blob(config)
	if err != nil {
		return nil, err
	}
	layers, err := img.Layers()
	if err != nil {
		return nil, err
	}
	var layerPaths []string
	for _, l := range layers {
		data, err := compressed(l)
		if err != nil {
			return nil, err
		}
		path, _, err := blob(data)
		if err != nil {
			return nil, err
		}
		layerPaths = append(layerPaths, path)
	}
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{{
		MediaType: types.OCIManifestSchema1, Size: int64(len(manifest)), Digest: digest,
		Annotations: map[string]string{
			"io.containerd.image.name":          tag.Name(),
			"org.opencontainers.image.ref.name": tag.TagStr(),
		},
	}}}
	docker := []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}{{configPath, []string{tag.Name()}, layerPaths}}
	for path, v := range map[string]any{"index.json": index, "manifest.json": docker} {
		data, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		files[path] = file{mode: 0o644, data: data}
	}
	return files, nil
}

func compressed(l v1.Layer) ([]byte, error) {
	r, err := l.Compressed()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}
