package chained

import "fmt"

// Elsewhere tells that a configuration has something that is not built in, and is no mistake as far as can be seen: the node's own plugin
// of the type is to be executed with it.
type Elsewhere struct{ Type, Field, Why string }

func (e Elsewhere) Error() string {
	return fmt.Sprintf("%s configuration: %q %s: the node's plugin %s is executed", e.Type, e.Field, e.Why, e.Type)
}
