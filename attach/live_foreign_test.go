package attach

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// Plugins of others make and give back interfaces of running Pods too: with the calls that they get at a Pod's start and end.
func TestLiveForeign(t *testing.T) {
	n := newLiveNode(t)
	n.plant("slow", "never", "touch")
	n.define("lan", fmt.Sprintf(`{"cniVersion":"1.0.0","name":"lan","type":"ptp","ipam":{"type":"host-local","dataDir":%q,"ranges":[[{"subnet":"10.77.0.0/24"}]]}}`, n.dir+"/leases"))
	n.binaries("lan")
	n.define("touched", fmt.Sprintf(`{"cniVersion":"1.0.0","name":"touched","plugins":[{"type":"macvlan","master":"up1"},{"type":"tstplug-touch","dir":%q}]}`, n.dir))
	n.define("slow", fmt.Sprintf(`{"cniVersion":"1.0.0","type":"tstplug-slow","dir":%q}`, n.dir))
	n.define("stuck", `{"cniVersion":"1.0.0","type":"tstplug-never"}`)
	s := n.pod("web", "")
	s.add()
	s.reported("eth0")

	s.wishes("lan@data,touched@x")
	s.reaches("lan@data,touched@x")
	if have := s.interfaces(); len(have) != 3 || len(have["data"]) != 1 || !strings.HasPrefix(have["data"][0], "10.77.0.") {
		t.Errorf("interfaces %v", have)
	}
	n.told(t, "AddedInterface", "Add data [10.77.0.", "from default/lan")
	s.ok("CHECK")
	s.wishes("touched@x")
	s.reaches("touched@x")
	if left, err := os.ReadDir(n.dir + "/leases/lan"); err != nil || slices.ContainsFunc(left, func(e os.DirEntry) bool { return strings.HasPrefix(e.Name(), "10.77.") }) {
		t.Errorf("host-local still holds an address: %v %v", left, err)
	}

	// One that takes long is called off by the next edit.
	s.wishes("touched@x,slow,stuck")
	n.until("the plugin is executed", func() bool { return n.running("tstplug-never") > 0 })
	began := time.Now()
	s.wishes("")
	s.reaches("")
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("the edit took %v: it waited for what nobody asks for any more", took)
	}
	if verbs, _ := n.calls("touch"); !slices.Equal(verbs, []string{"ADD x", "CHECK x", "DEL x"}) {
		t.Errorf("the plugin was called %v", verbs)
	}
	if verbs, _ := n.calls("slow"); len(verbs) == 0 || verbs[len(verbs)-1] != "DEL net2" {
		t.Errorf("the plugin was called %v, want a DEL at last", verbs)
	}

	// What a plugin does not do in time is refused, and so is what it does not do at all; a DEL does not wait for it.
	s.wishes("stuck")
	n.until("the Pod is told", func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		return slices.ContainsFunc(n.events, func(e string) bool {
			return strings.Contains(e, "Warning default/web PluginTimeout") && strings.Contains(e, "not done after 4s")
		})
	})
	s.rests()
	s.wishes("stuck@other")
	n.until("the plugin is executed again", func() bool { return n.running("tstplug-never") > 0 })
	began = time.Now()
	s.ok("DEL")
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("DEL took %v", took)
	}
	n.clean()
}

// A lease is asked for and given back as with a Pod's start and end.
func TestLiveLease(t *testing.T) {
	n := newLiveNode(t)
	dnsmasq := n.dnsmasq()
	n.define("dyn", `{"type":"macvlan","master":"up1","ipam":{"type":"dhcp"}}`)
	s := n.pod("web", "")
	s.add()
	s.wishes("dyn")
	s.reaches("dyn")
	if have := s.interfaces()["net1"]; len(have) != 1 || !strings.HasPrefix(have[0], "10.20.0.") {
		t.Errorf("net1 has %v", have)
	}
	s.wishes("")
	s.reaches("")
	n.until("the lease is given back", func() bool { return dnsmasq.count("DHCPRELEASE") == 1 })
	s.ok("DEL")
	n.clean()
}
