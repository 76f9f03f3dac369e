package scaleup

import (
	"fmt"
	"strconv"
	"strings"
)

// Version is one of Cluster Autoscaler or Cluster API: major, minor, patch.
type Version [3]int

// Newest is the last version of Cluster Autoscaler whose behaviour is known here.
var Newest = Version{1, 36, 1}

// ParseVersion reads "v1.27.1", "1.27", "1.27.1-gke.3". A part that is missing is 0.
func ParseVersion(text string) (Version, error) {
	var v Version
	core, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(text), "v"), "-")
	core, _, _ = strings.Cut(core, "+")
	parts := strings.Split(core, ".")
	if len(parts) < 2 || len(parts) > 3 {
		return v, fmt.Errorf("read version %q: want major.minor.patch, such as 1.32.1", text)
	}
	for i, p := range parts {
		n, err := strconv.Atoi(p)
		if err != nil || n < 0 {
			return Version{}, fmt.Errorf("read version %q: %q is not a number", text, p)
		}
		v[i] = n
	}
	return v, nil
}

// VersionOfImage reads the tag of an image, as in registry.k8s.io/autoscaling/cluster-autoscaler:v1.32.1.
func VersionOfImage(image string) (Version, error) {
	image, _, _ = strings.Cut(image, "@")
	_, tag, ok := strings.Cut(image[strings.LastIndexByte(image, '/')+1:], ":")
	if !ok {
		return Version{}, fmt.Errorf("read the version of image %q: it has no tag", image)
	}
	return ParseVersion(tag)
}

func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v[0], v[1], v[2]) }

// Before tells whether v is older than w.
func (v Version) Before(w Version) bool {
	for i := range v {
		if v[i] != w[i] {
			return v[i] < w[i]
		}
	}
	return false
}

// The first versions of Cluster Autoscaler with a behaviour.
var (
	sinceLabels     = Version{1, 27, 1} // annotations labels and taints
	sinceDisk       = Version{1, 27, 1}
	sinceEqualSizes = Version{1, 30, 0} // min-size may equal max-size
	sincePaused     = Version{1, 36, 0} // a paused group is left out
	sinceTaints     = Version{1, 36, 0} // spec.template.spec.taints
)
