package attach

import (
	"strings"
	"testing"
)

func TestNetworksOfEveryPod(t *testing.T) {
	every := EveryPod{Networks: []string{"lan", "infra/storage"}, Except: []string{"kube-system"}}
	for _, c := range []struct{ namespace, annotation, want string }{
		{"demo", "", "kube-system/lan net1, infra/storage net2"},
		{"demo", "own,own@lan0", "kube-system/lan net1, infra/storage net2, demo/own net3, demo/own lan0"},
		{"demo", `[{"name":"own","interface":"net2"}]`, "InterfaceNameConflict"},
		{"demo", "own@eth0", "InterfaceNameConflict"},
		{"kube-system", "own", "kube-system/own net1"},
	} {
		all, err := every.of(Pod{Namespace: c.namespace, Networks: c.annotation})
		var got []string
		for _, s := range all {
			got = append(got, s.Network()+" "+s.IfName)
			if s.ByCluster != (s.Name != "own") {
				t.Errorf("%+v", s)
			}
		}
		if err != nil {
			got = []string{refused(err).Reason}
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("%+v: %v, %v", c, got, err)
		}
	}
	for _, bad := range []string{"Lan", "a/b/c", "", "lan@"} {
		if err := (EveryPod{Networks: []string{bad}}).Check(); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// Every Pod gets them, also where namespaces are isolated, and a Pod that is edited keeps them.
func TestEveryPodGetsItsNetworks(t *testing.T) {
	n := newNode(t)
	n.server.planner.everyPod = EveryPod{Networks: []string{"infra/lan"}, Except: []string{"kube-system"}}
	n.server.planner.namespaces = Namespaces{Isolation: true}
	n.define("own", `{"type":"macvlan","master":"up1"}`)
	n.definitions["infra/lan"] = Definition{Namespace: "infra", Name: "lan", Config: `{"type":"macvlan","master":"up1","ipam":{"type":"host-local","subnet":"10.9.0.0/24"}}`}
	plain, more := n.pod("plain", ""), n.pod("more", "own")
	plain.add()
	more.add()
	if have := plain.interfaces(); len(have["net1"]) != 1 || len(have) != 2 {
		t.Errorf("plain has %v", have)
	}
	if have := more.interfaces(); len(have["net1"]) != 1 || have["net2"] == nil || len(have) != 3 {
		t.Errorf("more has %v", have)
	}
	if status := n.status(t, "default/more"); !strings.Contains(status, `"infra/lan"`) || !strings.Contains(status, `"default/own"`) {
		t.Errorf("status is %s", status)
	}
	n.edit(func() {
		n.live["default"] = true
		p := n.pods["default/more"]
		p.Networks = ""
		n.pods["default/more"] = p
	})
	n.told(t, "Normal default/more RemovedInterface", "net2")
	if have := more.interfaces(); len(have["net1"]) != 1 || len(have) != 2 {
		t.Errorf("after the edit more has %v", have)
	}
	system := n.pod("dns", "")
	system.pod.Namespace = "kube-system"
	n.mu.Lock()
	n.pods["kube-system/dns"] = system.pod
	n.mu.Unlock()
	system.add()
	if have := system.interfaces(); len(have) != 1 {
		t.Errorf("a Pod of a system namespace has %v", have)
	}
	for _, s := range []*sandbox{plain, more, system} {
		s.ok("DEL")
	}
	n.clean()
}
