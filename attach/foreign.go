package attach

import (
	"slices"

	"github.com/tsunagu-net/tsunagu/attach/kind"
)

// foreign tells whether a definition can be read and its interface is made by a plugin that is not built in.
func foreign(d Definition) bool {
	plugins, err := readChain(d)
	return err == nil && plugins[0].Type != "" && plugins[0].Type != (kind.Pod{}).Type() && !slices.Contains(kind.Names(), plugins[0].Type)
}
