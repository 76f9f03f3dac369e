package cluster

import (
	"os"
	"testing"
)

// The test binary is the supervisor of the machines it makes.
func TestMain(m *testing.M) {
	MainIfChild()
	os.Exit(m.Run())
}
