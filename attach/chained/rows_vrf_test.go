package chained

import "testing"

const vrfModule = "vrf"

var vrfRows = []compatRow{
	{Plugin: "vrf", Option: "vrfname", Config: `{"vrfname":"red"}`, Want: "works", needs: vrfModule, newer: true, addresses: []string{v4, v6}},
	{Plugin: "vrf", Option: "vrfname (addresses without gateways)", Config: `{"vrfname":"red"}`, Want: "works", needs: vrfModule, addresses: []string{"10.7.0.2/24", "fd00:7::2/64"}},
	{Plugin: "vrf", Option: "vrfname (one that there is)", Config: `{"vrfname":"red"}`, Want: "works", needs: vrfModule, newer: true, addresses: []string{v4}, prepare: (*world).red},
	{Plugin: "vrf", Option: "vrfname (an interface of the Pod that is none)", Config: `{"vrfname":"br0"}`, Want: "is a bridge of the Pod, not a VRF", addresses: []string{v4},
		prepare: func(w *world) {
			w.in(w.pod, "ip", "link", "add", "br0", "address", "02:00:00:00:04:01", "type", "bridge")
		}},
	{Plugin: "vrf", Option: "vrfname (the interface belongs to another)", Config: `{"vrfname":"red"}`, Want: "belongs to br0 already", addresses: []string{v4},
		prepare: func(w *world) {
			w.in(w.pod, "ip", "link", "add", "br0", "address", "02:00:00:00:04:01", "type", "bridge")
			w.in(w.pod, "ip", "link", "set", "net1", "master", "br0")
		}},
	{Plugin: "vrf", Option: "vrfname (not given)", Config: `{}`, Want: "configuration is expected to have a valid vrf name"},
	{Plugin: "vrf", Option: "vrfname (no name of an interface)", Config: `{"vrfname":"red/blue"}`, Want: "cannot be the name of an interface"},
	{Plugin: "vrf", Option: "table", Config: `{"vrfname":"red","table":1001}`, Want: "works", needs: vrfModule, newer: true, addresses: []string{v4, v6}},
	{Plugin: "vrf", Option: "table (the VRF has another)", Config: `{"vrfname":"red","table":7}`, Want: "exists in the Pod with table 77, not 7", needs: vrfModule, prepare: (*world).red},
	{Plugin: "vrf", Option: "table (not a number)", Config: `{"vrfname":"red","table":-1}`, Want: "want a whole number"},
}

// red is a VRF with another interface.
func (w *world) red() {
	w.Helper()
	w.in(w.pod, "ip", "link", "add", "red", "type", "vrf", "table", "77")
	w.in(w.pod, "ip", "link", "set", "red", "address", "02:00:00:00:05:01", "up")
	w.in(w.pod, "ip", "link", "add", "net9", "address", "02:00:00:00:05:02", "type", "veth", "peer", "net9p", "address", "02:00:00:00:05:03")
	w.in(w.pod, "ip", "link", "set", "net9", "master", "red")
}

// kernelHas tries to make what needs a module.
func kernelHas(t *testing.T, what string) bool {
	w := newWorld(t)
	_, err := w.try(w.pod, "ip", "link", "add", "tst", "type", what, "table", "9")
	return err == nil
}
