//go:build vm

package link_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// What the virtual machine is there for: a kind that is missing there as well
// would let the tests of it run nowhere.
func TestVMHasWhatThisMachineLacks(t *testing.T) {
	if os.Getenv("TSUNAGU_VM") != "1" {
		t.Fatal("tests behind the build tag vm run by make test-vm only")
	}
	ns := namespace(t, "kinds")
	for _, command := range []string{
		"ip link add base type veth peer name peer",
		"ip link add link base name base.120 type vlan id 120",
		"ip link add link base name outer.7 type vlan id 7 protocol 802.1ad",
		"ip link add filtering type bridge vlan_filtering 1",
		"ip link set peer master filtering",
		"bridge vlan add dev peer vid 120 pvid untagged",
		"ip link add link base name ipv0 type ipvlan mode l3s",
		"ip link add dum0 type dummy",
		"ip link add red type vrf table 10",
		"ip link add bond0 type bond mode active-backup",
		"tc qdisc add dev base root netem delay 5ms",
		"nft add table inet tst",
	} {
		words := strings.Fields(command)
		if err := ns.Do(func() error {
			out, err := exec.Command(words[0], words[1:]...).CombinedOutput()
			if err != nil {
				t.Errorf("%s: %v: %s", command, err, out)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat("/sys/module/openvswitch"); err != nil {
		t.Errorf("Open vSwitch: %v", err)
	}
}
