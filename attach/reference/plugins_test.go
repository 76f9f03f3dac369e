package reference

import (
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// The newest plugins are there for whoever asks first, and for all who ask at once, and are of the version that the tables name.
func TestNewest(t *testing.T) {
	if !strings.Contains(string(module), "\tgithub.com/containernetworking/plugins v"+Version+" ") {
		t.Fatalf("plugins.mod does not require version %s", Version)
	}
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			dir, err := Newest()
			if err != nil {
				t.Error(err)
				return
			}
			// tap was first in 1.4.0: the distribution's plugins are without it.
			for _, name := range []string{"bridge", "tap", "dummy", "firewall", "dhcp"} {
				out, err := exec.Command(filepath.Join(dir, name)).CombinedOutput()
				if err != nil || !strings.Contains(string(out), "CNI protocol versions supported") {
					t.Errorf("%s: %v: %s", name, err, out)
				}
			}
		})
	}
	all.Wait()
}
