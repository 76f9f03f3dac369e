//go:build vm

package trunk_test

import "testing"

// A kernel from before tcx attaches the programs by cls_bpf.
func TestVMSwitchBeforeTCX(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"one VLAN": TestPodsOfOneVLANReachEachOther, "MAC": TestTakenMAC, "guard": TestGuard, "restart": TestRestart,
		"given back": TestTrunkIsGivenBack, "mended": TestPutMends, "node": TestNodeKeepsItsTraffic, "echo": TestEchoOfTheWire,
	} {
		t.Run(name, test)
	}
}
