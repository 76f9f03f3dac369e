//go:build vm

package chained

import "testing"

// What needs modules, where the kernel has them.
func TestVMCompatibility(t *testing.T) {
	for _, r := range vrfRows {
		if r.needs == "" {
			continue
		}
		t.Run(r.Option, func(t *testing.T) {
			if !kernelHas(t, r.needs) {
				t.Fatalf("this kernel should have %s", r.needs)
			}
			r.run(t)
		})
	}
}
