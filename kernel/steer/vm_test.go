//go:build vm

package steer_test

import "testing"

// An older kernel's verifier takes the program, too.
func TestVMSteer(t *testing.T) { TestSteer(t) }
