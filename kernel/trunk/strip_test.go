package trunk_test

import (
	"os/exec"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// strip takes every program off an interface, as somebody else might.
func strip(t *testing.T, ns *netns.Namespace, name string, index int) {
	t.Helper()
	err := ns.Do(func() error {
		found, err := link.QueryPrograms(link.QueryOptions{Target: index, Attach: ebpf.AttachTCXIngress})
		if err != nil {
			return exec.Command("tc", "filter", "del", "dev", name, "ingress").Run() // a kernel before tcx
		}
		for _, x := range found.Programs {
			p, err := ebpf.NewProgramFromID(x.ID)
			if err != nil {
				return err
			}
			defer p.Close()
			if err := link.RawDetachProgram(link.RawDetachProgramOptions{Target: index, Program: p, Attach: ebpf.AttachTCXIngress}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
