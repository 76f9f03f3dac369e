//go:build vm

package kind

import "testing"

// Every option again, where the kernel has all modules.
func TestVMCompat(t *testing.T) { compat(t, true) }
