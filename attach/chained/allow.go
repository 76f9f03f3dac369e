package chained

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/tsunagu-net/tsunagu/attach/kind"
)

// allowFile is where a node's administrator lists the sysctls that tuning may set, as regular expressions, one a line. Without the file
// all of the network are allowed.
const allowFile = "/etc/cni/tuning/allowlist.conf"

// permit refuses sysctls that the node does not allow.
func (r *Runner) permit(t Tuning) error {
	if len(t.Sysctls) == 0 {
		return nil
	}
	text, err := os.ReadFile(filepath.Join(r.Root, allowFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read which sysctls are allowed: %w", err)
	}
	var allowed []*regexp.Regexp
	var list []string
	for i, line := range strings.Split(string(text), "\n") {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		one, err := regexp.Compile(line)
		if err != nil {
			return kind.BadConfig{Type: "tuning", Field: "sysctl", Message: fmt.Sprintf("line %d of %s on the node: %v", i+1, allowFile, err),
				Hint: "correct the line on the node"}
		}
		allowed, list = append(allowed, one), append(list, line)
	}
	for _, key := range slices.Sorted(maps.Keys(t.Sysctls)) {
		if !slices.ContainsFunc(allowed, func(one *regexp.Regexp) bool { return one.MatchString(key) }) {
			return kind.BadConfig{Type: "tuning", Field: "sysctl",
				Message: fmt.Sprintf("sysctl %s is not allowed on this node, allowed are: %s", key, strings.Join(list, ", ")),
				Hint:    "remove it, or have the node's administrator add it to " + allowFile}
		}
	}
	return nil
}
