package main

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// TestLoopback executes the shim under the name that runtimes use, without any
// agent, and looks at lo.
func TestLoopback(t *testing.T) {
	plugin := t.TempDir() + "/loopback"
	if out, err := exec.Command("go", "build", "-o", plugin, ".").CombinedOutput(); err != nil {
		t.Fatalf("building the shim: %v\n%s", err, out)
	}
	const name = "tst-loopback"
	if err := netns.Delete(name); err != nil {
		t.Fatal(err)
	}
	ns, err := netns.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ns.Close()
		if err := netns.Delete(name); err != nil {
			t.Error(err)
		}
	})
	path := "/run/netns/" + name
	for _, version := range []string{"0.3.1", "1.0.0"} {
		for _, command := range []string{"ADD", "CHECK", "DEL"} {
			cmd := exec.Command(plugin)
			cmd.Env = []string{"CNI_COMMAND=" + command, "CNI_CONTAINERID=c1", "CNI_NETNS=" + path, "CNI_IFNAME=lo", "CNI_PATH=/"}
			cmd.Stdin = strings.NewReader(`{"cniVersion":"` + version + `","name":"cni-loopback","type":"loopback"}`)
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%s %s: %v: %s", version, command, err, out)
			}
			if command == "ADD" && !json.Valid(out) {
				t.Errorf("%s: not JSON: %s", version, out)
			}
		}
	}
	out, err := exec.Command("nsenter", "--net="+path, "ip", "-br", "address", "show", "lo").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "127.0.0.1/8") {
		t.Errorf("lo is not up: %s %v", out, err)
	}
}
