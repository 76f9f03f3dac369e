package e2e

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

// What nodes agree on addresses by behaves on a real API server as on the fake
// that the simulation uses: package kube's own suite, against this lab's.
func TestStoreOnARealAPIServer(t *testing.T) {
	cmd := exec.CommandContext(within(t, 3*time.Minute), "go", "test", "-count=1", "-v", "-run", "Live", "./kube")
	cmd.Dir = lab.Root
	cmd.Env = append(os.Environ(), "TSUNAGU_TEST_KUBECONFIG="+lab.Kubeconfig())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, tail(string(out), 40))
	}
	if containsAll(string(out), []string{"--- SKIP"}) || !containsAll(string(out), []string{"--- PASS"}) {
		t.Fatalf("the suite did not run:\n%s", tail(string(out), 40))
	}
}
