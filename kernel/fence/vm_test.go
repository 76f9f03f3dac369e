//go:build vm

package fence_test

import "testing"

// A kernel from before tcx attaches the programs by cls_bpf.
func TestVMFenceBeforeTCX(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"answers": TestGuardedAddressesAnswerOnlyWhileAllowed, "announces": TestClosedFenceAnnouncesNothing, "process": TestFenceOutlivesItsProcess,
		"peace": TestDetach,
	} {
		t.Run(name, test)
	}
}
