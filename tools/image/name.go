package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
)

// imageName returns the one image that a file of manifests asks for, so that
// what is built is what is installed. Manifests that disagree are an error.
func imageName(path string) (name.Tag, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return name.Tag{}, fmt.Errorf("read the image's name: %w", err)
	}
	found := ""
	for line := range strings.Lines(string(raw)) {
		value, ok := strings.CutPrefix(strings.TrimPrefix(strings.TrimSpace(line), "- "), "image:")
		if !ok {
			continue
		}
		value = strings.Trim(strings.TrimSpace(value), `"'`)
		if found != "" && value != found {
			return name.Tag{}, fmt.Errorf("%s asks for two images, %s and %s", path, found, value)
		}
		found = value
	}
	tag, err := name.NewTag(found, name.StrictValidation)
	if err != nil {
		return name.Tag{}, fmt.Errorf("image of %s: %w", path, err)
	}
	return tag, nil
}
