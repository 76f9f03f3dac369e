package kind

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tsunagu-net/tsunagu/attach/reference"
	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// compatRow is one option of a reference plugin (CNI plugins v1.9.1) and what comes of it here.
type compatRow struct {
	Plugin, Option string
	// Config is what the option looks like, beside type, name and ipam.
	Config string
	// Want is "works", or the words of the refusal.
	Want string

	// needs is the kernel's module; where it is missing the option is refused by the name of the module.
	needs string
	// newer tells that the plugins of Debian (1.1.1) do not know the option.
	newer bool
	// addresses of the ipam section, with " via " and a gateway.
	addresses []string
	// differs are beginnings of lines of the portrait that are another's on purpose, each with the reason.
	differs map[string]string
	prepare func(w *world, pod *netns.Namespace)
	mac     string
	ifName  string
	// ovs gives the node an Open vSwitch with bridge br0, whose socket is added to the configuration.
	ovs bool
	// driver gives the node a card of the test (fakeCard), whose functions have it.
	driver string
}

const (
	v4, v6  = "10.7.0.2/24 via 10.7.0.1", "fd00:7::2/64 via fd00:7::1"
	askedAs = "02:00:5e:10:00:01"
)

var compatRows = []compatRow{
	{Plugin: "loopback", Option: "type", Config: `{}`, Want: "works", ifName: "lo"},

	{Plugin: "bridge", Option: "bridge", Config: `{"bridge":"br-blue"}`, Want: "works", addresses: []string{v4, v6}},
	{Plugin: "bridge", Option: "bridge (default)", Config: `{}`, Want: "works", addresses: []string{v4}},
	{Plugin: "bridge", Option: "ipam (none)", Config: `{}`, Want: "works"},
	{Plugin: "bridge", Option: "isGateway", Config: `{"isGateway":true}`, Want: "works", addresses: []string{v4, v6}},
	{Plugin: "bridge", Option: "isGateway (gateway not given)", Config: `{"isGateway":true}`, Want: "works", addresses: []string{"10.7.0.2/24"}},
	{Plugin: "bridge", Option: "isDefaultGateway", Config: `{"isDefaultGateway":true}`, Want: "works", addresses: []string{v4, v6}},
	{Plugin: "bridge", Option: "forceAddress", Config: `{"isGateway":true,"forceAddress":true}`, Want: "works", addresses: []string{v4},
		prepare: func(w *world, _ *netns.Namespace) { w.bridge("cni0", "10.99.0.1/24") }},
	{Plugin: "bridge", Option: "forceAddress (false, another address)", Config: `{"isGateway":true}`,
		Want: "already has an IP address different from 10.7.0.1/24", addresses: []string{v4},
		prepare: func(w *world, _ *netns.Namespace) { w.bridge("cni0", "10.99.0.1/24") }},
	{Plugin: "bridge", Option: "ipMasq", Config: `{"isGateway":true,"ipMasq":true}`, Want: "works", addresses: []string{v4}},
	{Plugin: "bridge", Option: "ipMasqBackend", Config: `{"isGateway":true,"ipMasq":true,"ipMasqBackend":"nftables"}`, Want: "works", newer: true, addresses: []string{v4}},
	{Plugin: "bridge", Option: "mtu", Config: `{"mtu":1400}`, Want: "works", addresses: []string{v4}},
	{Plugin: "bridge", Option: "hairpinMode", Config: `{"hairpinMode":true}`, Want: "works", addresses: []string{v4}},
	{Plugin: "bridge", Option: "promiscMode", Config: `{"promiscMode":true}`, Want: "works", addresses: []string{v4}},
	{Plugin: "bridge", Option: "hairpinMode and promiscMode", Config: `{"hairpinMode":true,"promiscMode":true}`,
		Want: "cannot set hairpin mode and promiscuous mode at the same time"},
	{Plugin: "bridge", Option: "vlan", Config: `{"vlan":120}`, Want: "works", needs: "bridge with VLAN filtering", newer: true, addresses: []string{v4}},
	{Plugin: "bridge", Option: "vlan and isGateway", Config: `{"vlan":120,"isGateway":true}`, Want: "works", needs: "bridge with VLAN filtering", newer: true, addresses: []string{v4, v6}},
	{Plugin: "bridge", Option: "vlan (bridge that does not filter)", Config: `{"bridge":"br-old","vlan":120}`, Want: "does not filter VLANs", addresses: []string{v4},
		prepare: func(w *world, _ *netns.Namespace) { w.bridge("br-old", "") }},
	{Plugin: "bridge", Option: "vlanTrunk", Config: `{"vlan":100,"vlanTrunk":[{"id":101},{"minID":200,"maxID":299}]}`, Want: "works", newer: true, needs: "bridge with VLAN filtering"},
	{Plugin: "bridge", Option: "vlanTrunk (no vlan)", Config: `{"vlanTrunk":[{"id":101},{"minID":200,"maxID":299}]}`, Want: "works", newer: true, needs: "bridge with VLAN filtering"},
	{Plugin: "bridge", Option: "preserveDefaultVlan", Config: `{"vlan":120,"preserveDefaultVlan":true}`, Want: "works", needs: "bridge with VLAN filtering", addresses: []string{v4}},
	{Plugin: "bridge", Option: "macspoofchk", Config: `{"macspoofchk":true}`, Want: "works", addresses: []string{v4}},
	{Plugin: "bridge", Option: "portIsolation", Config: `{"portIsolation":true}`, Want: "works", newer: true, addresses: []string{v4}},
	{Plugin: "bridge", Option: "enabledad", Config: `{"enabledad":true}`, Want: "works", addresses: []string{v4, v6}},
	{Plugin: "bridge", Option: "disableContainerInterface", Config: `{"disableContainerInterface":true}`, Want: "works", newer: true},
	{Plugin: "bridge", Option: "disableContainerInterface (with ipam)", Config: `{"disableContainerInterface":true}`, newer: true,
		Want: "cannot use IPAM when DisableContainerInterface flag is set", addresses: []string{v4}},
	{Plugin: "bridge", Option: "runtimeConfig.mac", Config: `{}`, Want: "works", addresses: []string{v4}, mac: askedAs},
	{Plugin: "bridge", Option: "args.cni.mac", Config: `{"args":{"cni":{"mac":"` + askedAs + `"}}}`, Want: "works", addresses: []string{v4}},

	{Plugin: "macvlan", Option: "master", Config: `{"master":"up1"}`, Want: "works", addresses: []string{v4, v6}},
	{Plugin: "macvlan", Option: "master (default route)", Config: `{}`, Want: "works", addresses: []string{v4},
		prepare: func(w *world, _ *netns.Namespace) { w.defaultRoute("up2") }},
	{Plugin: "macvlan", Option: "master (missing)", Config: `{"master":"up9"}`, Want: `no interface "up9"`},
	{Plugin: "macvlan", Option: "ipam (none)", Config: `{"master":"up1"}`, Want: "works"},
	{Plugin: "macvlan", Option: "mode bridge", Config: `{"master":"up1","mode":"bridge"}`, Want: "works"},
	{Plugin: "macvlan", Option: "mode private", Config: `{"master":"up1","mode":"private"}`, Want: "works"},
	{Plugin: "macvlan", Option: "mode vepa", Config: `{"master":"up1","mode":"vepa"}`, Want: "works"},
	{Plugin: "macvlan", Option: "mode passthru", Config: `{"master":"up1","mode":"passthru"}`, Want: "works"},
	{Plugin: "macvlan", Option: "mode (unknown)", Config: `{"master":"up1","mode":"brdige"}`, Want: `want one of bridge, private, vepa, passthru`},
	{Plugin: "macvlan", Option: "mtu", Config: `{"master":"up1","mtu":1400}`, Want: "works", addresses: []string{v4}},
	{Plugin: "macvlan", Option: "mtu (more than the master's)", Config: `{"master":"up1","mtu":9000}`, Want: "more than the 1500 of up1"},
	{Plugin: "macvlan", Option: "mac", Config: `{"master":"up1","mac":"` + askedAs + `"}`, Want: "works", addresses: []string{v4}},
	{Plugin: "macvlan", Option: "runtimeConfig.mac", Config: `{"master":"up1"}`, Want: "works", addresses: []string{v4}, mac: askedAs},
	{Plugin: "macvlan", Option: "bcqueuelen", Config: `{"master":"up1","bcqueuelen":500}`, Want: "works", newer: true, addresses: []string{v4}},
	{Plugin: "macvlan", Option: "linkInContainer", Config: `{"master":"eth0","linkInContainer":true}`, Want: "works", newer: true, addresses: []string{v4},
		prepare: (*world).primary},
	{Plugin: "macvlan", Option: "linkInContainer (default route)", Config: `{"linkInContainer":true}`, Want: "works", newer: true, addresses: []string{v4},
		prepare: (*world).primary},

	{Plugin: "ipvlan", Option: "master", Config: `{"master":"up1"}`, Want: "works", needs: "ipvlan", addresses: []string{v4, v6}},
	{Plugin: "ipvlan", Option: "master (default route)", Config: `{}`, Want: "works", needs: "ipvlan", addresses: []string{v4},
		prepare: func(w *world, _ *netns.Namespace) { w.defaultRoute("up2") }},
	{Plugin: "ipvlan", Option: "master (chained)", Config: `{"prevResult":{"cniVersion":"1.0.0","interfaces":[{"name":"up2"}],"ips":[{"address":"10.7.0.2/24"}]}}`,
		Want: "works", needs: "ipvlan", addresses: []string{"10.7.0.2/24"}},
	{Plugin: "ipvlan", Option: "master (chained, no interface)", Config: `{"prevResult":{"cniVersion":"1.0.0","ips":[{"address":"10.7.0.2/24"}]}}`,
		Want: "chained master failure. PrevResult lacks a single named interface"},
	{Plugin: "ipvlan", Option: "mode l2", Config: `{"master":"up1","mode":"l2"}`, Want: "works", needs: "ipvlan", addresses: []string{v4}},
	{Plugin: "ipvlan", Option: "mode l3", Config: `{"master":"up1","mode":"l3"}`, Want: "works", needs: "ipvlan", addresses: []string{v4}},
	{Plugin: "ipvlan", Option: "mode l3s", Config: `{"master":"up1","mode":"l3s"}`, Want: "works", needs: "ipvlan", addresses: []string{v4}},
	{Plugin: "ipvlan", Option: "mtu", Config: `{"master":"up1","mtu":1400}`, Want: "works", needs: "ipvlan", addresses: []string{v4}},
	{Plugin: "ipvlan", Option: "mtu (more than the master's)", Config: `{"master":"up1","mtu":9000}`, Want: "more than the 1500 of up1", addresses: []string{v4}},
	{Plugin: "ipvlan", Option: "linkInContainer", Config: `{"master":"eth0","linkInContainer":true}`, Want: "works", needs: "ipvlan", newer: true, addresses: []string{v4},
		prepare: (*world).primary},
	{Plugin: "ipvlan", Option: "mac", Config: `{"master":"up1"}`, Want: "it shares the hardware address of its master", addresses: []string{v4}, mac: askedAs},

	{Plugin: "vlan", Option: "vlanId", Config: `{"master":"up1","vlanId":120}`, Want: "works", needs: "8021q", addresses: []string{v4, v6}},
	{Plugin: "vlan", Option: "vlanId 0", Config: `{"master":"up1","vlanId":0}`, Want: "works", needs: "8021q", addresses: []string{v4}},
	{Plugin: "vlan", Option: "vlanId (out of range)", Config: `{"master":"up1","vlanId":4095}`, Want: "from 0 to 4094"},
	{Plugin: "vlan", Option: "master (not given)", Config: `{"vlanId":120}`, Want: `"master" field is required`},
	{Plugin: "vlan", Option: "mtu", Config: `{"master":"up1","vlanId":120,"mtu":1400}`, Want: "works", needs: "8021q", addresses: []string{v4}},
	{Plugin: "vlan", Option: "mtu (more than the master's)", Config: `{"master":"up1","vlanId":120,"mtu":9000}`, Want: "more than the 1500 of up1", addresses: []string{v4}},
	{Plugin: "vlan", Option: "linkInContainer", Config: `{"master":"eth0","vlanId":120,"linkInContainer":true}`, Want: "works", needs: "8021q", newer: true, addresses: []string{v4},
		prepare: (*world).primary},

	{Plugin: "ptp", Option: "ipam", Config: `{}`, Want: "works", addresses: []string{v4, v6}},
	{Plugin: "ptp", Option: "ipam (none)", Config: `{}`, Want: "needs an address"},
	{Plugin: "ptp", Option: "mtu", Config: `{"mtu":1400}`, Want: "works", addresses: []string{v4}},
	{Plugin: "ptp", Option: "ipMasq", Config: `{"ipMasq":true}`, Want: "works", addresses: []string{v4}},
	{Plugin: "ptp", Option: "ipMasqBackend", Config: `{"ipMasq":true,"ipMasqBackend":"nftables"}`, Want: "works", newer: true, addresses: []string{v4}},

	{Plugin: "host-device", Option: "device", Config: `{"device":"dev0"}`, Want: "works", addresses: []string{v4, v6}, prepare: hostDevice},
	{Plugin: "host-device", Option: "hwaddr", Config: `{"hwaddr":"02:00:00:de:00:00"}`, Want: "works", addresses: []string{v4}, prepare: hostDevice},
	{Plugin: "host-device", Option: "ipam (none)", Config: `{"device":"dev0"}`, Want: "works", prepare: hostDevice},
	{Plugin: "host-device", Option: "kernelpath (missing)", Config: `{"kernelpath":"/sys/devices/none"}`, Want: "no interface"},
	{Plugin: "host-device", Option: "pciBusID (missing)", Config: `{"pciBusID":"0000:ff:1f.7"}`, Want: "no interface"},
	{Plugin: "host-device", Option: "runtimeConfig.deviceID (missing)", Config: `{"runtimeConfig":{"deviceID":"0000:ff:1f.7"}}`, Want: "no interface"},
	{Plugin: "host-device", Option: "none of them", Config: `{}`, Want: `specify either "device", "hwaddr", "kernelpath" or "pciBusID"`},

	{Plugin: "tap", Option: "ipam", Config: `{}`, Want: "works", newer: true, addresses: []string{v4, v6}},
	{Plugin: "tap", Option: "ipam (none)", Config: `{}`, Want: "works", newer: true},
	{Plugin: "tap", Option: "multiQueue", Config: `{"multiQueue":true}`, Want: "works", newer: true},
	{Plugin: "tap", Option: "owner", Config: `{"owner":0}`, Want: "works", newer: true},
	{Plugin: "tap", Option: "group", Config: `{"group":107}`, Want: "works", newer: true},
	{Plugin: "tap", Option: "owner and group", Config: `{"owner":1000,"group":107}`, Want: "works", newer: true},
	{Plugin: "tap", Option: "mtu", Config: `{"mtu":1400}`, Want: "works", newer: true},
	{Plugin: "tap", Option: "mac", Config: `{"mac":"` + askedAs + `"}`, Want: "works", newer: true},
	{Plugin: "tap", Option: "bridge", Config: `{"bridge":"br-pod"}`, Want: "works", newer: true,
		prepare: func(w *world, pod *netns.Namespace) {
			w.must(w.dial(pod).Apply(link.NewBridge(link.End{Name: "br-pod"})))
		}},
	{Plugin: "tap", Option: "bridge (missing)", Config: `{"bridge":"br-pod"}`, Want: "the Pod has no bridge br-pod", newer: true},
	{Plugin: "tap", Option: "selinuxContext", Config: `{"selinuxContext":"system_u:system_r:container_t:s0"}`, Want: "run the agent with the label", newer: true},

	{Plugin: "ovs", Option: "bridge", Config: `{"bridge":"br0"}`, Want: "works", ovs: true, addresses: []string{v4, v6}},
	{Plugin: "ovs", Option: "bridge (missing)", Config: `{"bridge":"br9"}`, Want: `no interface "br9"`, ovs: true},
	{Plugin: "ovs", Option: "bridge (not given)", Config: `{}`, Want: "failed to get bridge name"},
	{Plugin: "ovs", Option: "vlan", Config: `{"bridge":"br0","vlan":120}`, Want: "works", ovs: true, addresses: []string{v4}},
	{Plugin: "ovs", Option: "trunk", Config: `{"bridge":"br0","trunk":[{"id":42},{"minID":1000,"maxID":1010}]}`, Want: "works", ovs: true},
	{Plugin: "ovs", Option: "mtu", Config: `{"bridge":"br0","mtu":1400}`, Want: "works", ovs: true, addresses: []string{v4}},
	{Plugin: "ovs", Option: "ofport_request", Config: `{"bridge":"br0","ofport_request":77}`, Want: "works", ovs: true},
	{Plugin: "ovs", Option: "interface_type", Config: `{"bridge":"br0","interface_type":"system"}`, Want: "works", ovs: true},
	{Plugin: "ovs", Option: "link_state_check_retries and _interval", Config: `{"bridge":"br0","link_state_check_retries":20,"link_state_check_interval":500}`, Want: "works", ovs: true},
	{Plugin: "ovs", Option: "socket_file (nobody there)", Config: `{"bridge":"br0","socket_file":"unix:/run/none.sock"}`, Want: "no Open vSwitch answers at unix:/run/none.sock"},
	{Plugin: "ovs", Option: "deviceID", Config: `{"bridge":"br0","deviceID":"0000:03:02.3"}`, Want: "the representor of a virtual function is not put on a switch yet"},

	{Plugin: "bridge", Option: "bridge (too long)", Config: `{"bridge":"a-name-that-is-too-long"}`, Want: "cannot be the name of an interface"},
	{Plugin: "bridge", Option: "ipMasqBackend (unknown)", Config: `{"ipMasq":true,"ipMasqBackend":"ebtables"}`, Want: "want one of iptables, nftables"},
	{Plugin: "bridge", Option: "vlan (out of range)", Config: `{"vlan":4095}`, Want: "want a number from 0 to 4094"},
	{Plugin: "bridge", Option: "vlanTrunk (out of range)", Config: `{"vlanTrunk":[{"id":5000}]}`, Want: "incorrect trunk id parameter"},
	{Plugin: "bridge", Option: "vlanTrunk (wrong order)", Config: `{"vlanTrunk":[{"minID":300,"maxID":200}]}`, Want: "minID is greater than maxID in trunk parameter"},
	{Plugin: "bridge", Option: "vlanTrunk (half a range)", Config: `{"vlanTrunk":[{"minID":300}]}`, Want: "minID and maxID should be configured simultaneously, maxID is missing"},
	{Plugin: "bridge", Option: "isGateway (not true or false)", Config: `{"isGateway":"yes"}`, Want: "want true or false"},
	{Plugin: "macvlan", Option: "mac (none)", Config: `{"master":"up1","mac":"zz"}`, Want: "is not a hardware address"},
	{Plugin: "macvlan", Option: "bcqueuelen (out of range)", Config: `{"master":"up1","bcqueuelen":-5}`, Want: "want a number from 0"},
	{Plugin: "ipvlan", Option: "mode (unknown)", Config: `{"master":"up1","mode":"l4"}`, Want: "want one of l2, l3, l3s"},
	{Plugin: "vlan", Option: "vlanId (no number)", Config: `{"master":"up1","vlanId":"120"}`, Want: "want a whole number"},
	{Plugin: "tap", Option: "owner (out of range)", Config: `{"owner":-1}`, Want: "want the number of a user or group", newer: true},
	{Plugin: "host-device", Option: "two of them", Config: `{"device":"dev0","hwaddr":"02:00:00:de:00:00"}`, Want: `specify either "device", "hwaddr", "kernelpath" or "pciBusID"`},
	{Plugin: "host-device", Option: "kernelpath (elsewhere)", Config: `{"kernelpath":"/dev/net"}`, Want: "is not below /sys/devices"},
	{Plugin: "host-device", Option: "pciBusID", Config: `{"pciBusID":"0000:03:02.1"}`, Want: "works", driver: "vf", prepare: function},
	{Plugin: "host-device", Option: "DPDK device", Config: `{"pciBusID":"0000:04:00.0"}`, Want: "works", driver: "vfio-pci"},
	{Plugin: "host-device", Option: "runtimeConfig.deviceID", Config: `{"runtimeConfig":{"deviceID":"0000:03:02.1"}}`, Want: "works", driver: "vf", prepare: function},
	{Plugin: "sriov", Option: "deviceID", Config: `{"deviceID":"0000:03:02.1"}`, Want: "works", driver: "vf", prepare: function, addresses: []string{v4}},
	{Plugin: "sriov", Option: "deviceID (not given)", Config: `{}`, Want: "VF pci addr is required"},
	{Plugin: "sriov", Option: "deviceID (no virtual function)", Config: `{"deviceID":"0000:09:00.0"}`, Want: "is no virtual function", driver: "vf"},
	{Plugin: "sriov", Option: "DPDK device", Config: `{"deviceID":"0000:03:02.2"}`, Want: "works", driver: "vfio-pci"},
	{Plugin: "sriov", Option: "vlan", Config: `{"deviceID":"0000:03:02.1","vlan":100}`, Want: "works", driver: "vf", prepare: function},
	{Plugin: "sriov", Option: "vlanQoS", Config: `{"deviceID":"0000:03:02.1","vlan":100,"vlanQoS":4}`, Want: "works", driver: "vf", prepare: function},
	{Plugin: "sriov", Option: "vlanQoS (no vlan)", Config: `{"deviceID":"0000:03:02.1","vlanQoS":4}`, Want: "non-zero vlan id must be configured"},
	{Plugin: "sriov", Option: "vlanProto", Config: `{"deviceID":"0000:03:02.1","vlan":100,"vlanProto":"802.1ad"}`, Want: "works", driver: "vf", prepare: function},
	{Plugin: "sriov", Option: "mac", Config: `{"deviceID":"0000:03:02.1","mac":"` + askedAs + `"}`, Want: "works", driver: "vf", prepare: function},
	{Plugin: "sriov", Option: "spoofchk", Config: `{"deviceID":"0000:03:02.1","spoofchk":"off"}`, Want: "works", driver: "vf", prepare: function},
	{Plugin: "sriov", Option: "trust", Config: `{"deviceID":"0000:03:02.1","trust":"on"}`, Want: "works", driver: "vf", prepare: function},
	{Plugin: "sriov", Option: "link_state", Config: `{"deviceID":"0000:03:02.1","link_state":"enable"}`, Want: "works", driver: "vf", prepare: function},
	{Plugin: "sriov", Option: "min_tx_rate and max_tx_rate", Config: `{"deviceID":"0000:03:02.1","min_tx_rate":100,"max_tx_rate":200}`, Want: "works", driver: "vf", prepare: function},
	{Plugin: "sriov", Option: "logLevel and logFile", Config: `{"deviceID":"0000:03:02.1","logLevel":"debug","logFile":"/tmp/x"}`, Want: "works", driver: "vf", prepare: function},

	{Plugin: "dummy", Option: "ipam", Config: `{}`, Want: "works", needs: "dummy", newer: true, addresses: []string{v4, v6}},
	{Plugin: "dummy", Option: "ipam (none)", Config: `{}`, Want: "dummy interface requires an IPAM configuration", newer: true},
}

// function is the interface of a virtual function.
func function(w *world, _ *netns.Namespace) { w.device("vf1") }

func hostDevice(w *world, _ *netns.Namespace) {
	w.device("dev0")
	l, err := w.conn.ByName("dev0")
	w.must(err)
	mac, _ := net.ParseMAC("02:00:00:de:00:00")
	w.must(w.conn.Apply(link.Set(link.Change{Device: "dev0", Index: l.Index, MAC: mac})))
}

// bridge makes one that is not ours.
func (w *world) bridge(name, address string) {
	w.Helper()
	w.must(w.conn.Apply(link.NewBridge(link.End{Name: name})))
	if address != "" {
		l, err := w.conn.ByName(name)
		w.must(err)
		w.must(w.conn.Apply(link.AddAddress(name, l.Index, netip.MustParsePrefix(address), link.AddressOptions{})))
	}
}

func (w *world) defaultRoute(device string) {
	w.Helper()
	l, err := w.conn.ByName(device)
	w.must(err)
	w.must(w.conn.Apply(link.AddRoute(device, link.Route{Index: l.Index, Dst: defaults[0]})))
}

// primary gives a Pod an eth0 as another plugin would have made it.
func (w *world) primary(pod *netns.Namespace) {
	w.Helper()
	w.must(w.conn.Apply(link.NewVeth(link.End{Name: "primary"}, link.End{Name: "eth0", NS: pod})))
	c := w.dial(pod)
	l, err := c.ByName("eth0")
	w.must(err)
	w.must(c.Apply(link.Up("eth0", l.Index), link.Up("lo", 1), link.AddAddress("eth0", l.Index, netip.MustParsePrefix("10.1.0.2/24"), link.AddressOptions{}),
		link.AddRoute("eth0", link.Route{Index: l.Index, Dst: defaults[0], Gateway: netip.MustParseAddr("10.1.0.1")})))
}

// TestCompat runs every option here and, where it is installed, by the reference plugin, and compares all that they have made.
func TestCompat(t *testing.T) { compat(t, false) }

// compat is TestCompat. whole demands that the kernel has everything.
func compat(t *testing.T, whole bool) {
	for _, row := range compatRows {
		t.Run(row.Plugin+"/"+row.Option, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if row.driver != "" {
				card := newFakeCard()
				card.driver = row.driver
				w.wirer.cards = card
			}
			if row.ovs {
				row.Config = strings.TrimSuffix(row.Config, "}") + fmt.Sprintf(`,"socket_file":"unix:%s"}`, newVSwitch(t, w.node).socket())
			}
			if row.needs != "" && !kernelHas(w, row.needs) {
				if whole {
					t.Fatalf("this kernel should have %s", row.needs)
				}
				row.refused(w, "there is no module "+row.needs)
				return
			}
			if row.Want != "works" {
				row.refused(w, row.Want)
				return
			}
			own := row.carriedOut(w)
			for _, plugin := range row.references(t) {
				row.compare(t, plugin, own, row.byReference(newWorld(t), plugin))
			}
		})
	}
}

// kernelHas tries to make what needs a module.
func kernelHas(w *world, module string) bool {
	w.Helper()
	up1, err := w.conn.ByName("up1")
	w.must(err)
	op := map[string]link.Op{
		"8021q":                      link.NewVLAN(link.End{Name: "tst"}, up1.Index, 4000),
		"ipvlan":                     link.NewIPVLAN(link.End{Name: "tst"}, up1.Index, "l2"),
		"dummy":                      link.NewDummy(link.End{Name: "tst"}),
		"bridge with VLAN filtering": link.NewFilteringBridge(link.End{Name: "tst"}),
	}[module]
	if err := w.conn.Apply(op); link.Unsupported(err) {
		return false
	} else if err != nil {
		w.Fatal(err)
	}
	w.must(w.conn.Apply(link.Delete("tst")))
	return true
}

func (r compatRow) attachment(w *world, pod *netns.Namespace) (Attachment, error) {
	w.Helper()
	spec, err := Parse(r.Plugin, []byte(r.Config))
	if err != nil {
		return Attachment{}, err
	}
	a := w.attach(pod, cmp.Or(r.ifName, "net1"), spec, r.addresses...)
	if r.mac != "" {
		a.MAC, err = net.ParseMAC(r.mac)
		w.must(err)
	}
	return a, nil
}

// refused demands a Refusal with these words, and that nothing is left of it.
func (r compatRow) refused(w *world, words string) {
	w.Helper()
	pod := w.pod()
	if r.prepare != nil {
		r.prepare(w, pod)
	}
	node, inside := w.links(w.node), w.links(pod)
	a, err := r.attachment(w, pod)
	if err == nil {
		_, err = w.wirer.Wire(context.Background(), pod.Path(), []Attachment{a})
	}
	refusal, ok := errors.AsType[Refusal](err)
	if !ok || !strings.Contains(err.Error(), words) || refusal.Fix() == "" {
		w.Errorf("want a refusal with %q, have %v", words, err)
	}
	if got := w.links(w.node); !slices.Equal(got, node) {
		w.Errorf("left on the node: %v, was %v", got, node)
	}
	if got := w.links(pod); !slices.Equal(got, inside) {
		w.Errorf("left in the Pod: %v, was %v", got, inside)
	}
}

// carriedOut wires, twice, checks, takes away, and demands that nothing is left of it. It returns the portrait in between.
func (r compatRow) carriedOut(w *world) []string {
	w.Helper()
	pod := w.pod()
	if r.prepare != nil {
		r.prepare(w, pod)
	}
	w.must(w.conn.Apply(link.Up("lo", 1)))
	before := w.links(w.node)
	a, err := r.attachment(w, pod)
	w.must(err)
	wired := w.wire(pod, a)
	portrait := w.portrait(pod, a.askedMAC())
	if again := w.wire(pod, a); again[0].IfIndex != wired[0].IfIndex {
		w.Error("a second time made it anew")
	}
	w.must(w.wirer.Check(context.Background(), pod.Path(), wired))
	w.unwire(pod, wired)
	w.unwire(pod, wired)
	after := w.links(w.node)
	slices.Sort(before)
	slices.Sort(after)
	if !slices.Equal(before, after) {
		w.Errorf("left on the node: %v, was %v", after, before)
	}
	return portrait
}

// askedMAC is the MAC that the attachment or its configuration asks for.
func (a *Attachment) askedMAC() net.HardwareAddr {
	if a.MAC != nil {
		return a.MAC
	}
	mac, _ := a.Spec.link()
	return mac
}

// references are the plugins that know the option, of each version; none for what no plugin here can do.
func (r compatRow) references(t *testing.T) (plugins []string) {
	t.Helper()
	if r.driver != "" {
		return nil // no card here; what it is told is compared with the documentation in TestSRIOV
	}
	if r.ovs {
		return nil // ovs-cni is in no distribution; the ports are compared with its documentation in TestOVS
	}
	newest, err := reference.Newest()
	if err != nil {
		t.Fatal(err)
	}
	if !r.newer {
		plugins = append(plugins, filepath.Join(reference.Debian, r.Plugin))
	}
	return append(plugins, filepath.Join(newest, r.Plugin))
}

// byReference has the plugin do it, and returns the portrait.
func (r compatRow) byReference(w *world, plugin string) []string {
	w.Helper()
	pod := w.pod()
	if r.prepare != nil {
		r.prepare(w, pod)
	}
	config := map[string]any{}
	w.must(json.Unmarshal([]byte(r.Config), &config))
	config["cniVersion"], config["name"], config["type"] = "1.0.0", "tst", r.Plugin
	if r.mac != "" {
		config["runtimeConfig"] = map[string]any{"mac": r.mac}
	}
	if _, chained := config["prevResult"]; len(r.addresses) > 0 && !chained {
		var all []any
		for _, text := range r.addresses {
			prefix, gateway, _ := strings.Cut(text, " via ")
			one := map[string]any{"address": prefix}
			if gateway != "" {
				one["gateway"] = gateway
			}
			all = append(all, one)
		}
		config["ipam"] = map[string]any{"type": "static", "addresses": all}
	}
	stdin, err := json.Marshal(config)
	w.must(err)
	var asked net.HardwareAddr
	if strings.Contains(string(stdin), askedAs) {
		asked, _ = net.ParseMAC(askedAs)
	}
	cmd := exec.Command("nsenter", "--net="+w.node.Path(), plugin)
	ifName := cmp.Or(r.ifName, "net1")
	cmd.Env = []string{"CNI_COMMAND=ADD", "CNI_CONTAINERID=tst", "CNI_NETNS=" + pod.Path(), "CNI_IFNAME=" + ifName,
		"CNI_PATH=" + filepath.Dir(plugin), "PATH=" + os.Getenv("PATH")}
	cmd.Stdin = bytes.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		w.Fatalf("reference plugin %s: %v: %s", plugin, err, out)
	}
	return w.portrait(pod, asked)
}

// compare tells every object that is not the same, unless it is another's on purpose.
func (r compatRow) compare(t *testing.T, plugin string, own, theirs []string) {
	t.Helper()
	meant := func(line string) bool {
		if filepath.Dir(plugin) == reference.Debian && strings.Contains(line, "/ndisc_notify") {
			return true // the plugins of Debian do not know it yet
		}
		for start := range r.differs {
			if strings.HasPrefix(line, start) {
				return true
			}
		}
		return false
	}
	var differ []string
	for _, line := range theirs {
		if !slices.Contains(own, line) && !meant(line) {
			differ = append(differ, "reference: "+line)
		}
	}
	for _, line := range own {
		if !slices.Contains(theirs, line) && !meant(line) {
			differ = append(differ, "here:      "+line)
		}
	}
	if len(differ) > 0 {
		t.Errorf("%d objects differ from %s:\n%s", len(differ), plugin, strings.Join(differ, "\n"))
	}
}
