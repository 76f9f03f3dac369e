package precheck

import (
	"net/netip"
	"strings"
	"testing"
)

func TestJudge(t *testing.T) {
	a := netip.MustParseAddr("10.0.0.100")
	good := Facts{Addresses: []netip.Addr{a}, Interface: "eth0", Taken: map[netip.Addr]string{}, API: "127.0.0.1:6443", Members: 3, Installer: "kubeadm", Secret: true}
	for _, f := range Judge(good) {
		if f.Severity != "ok" {
			t.Errorf("nothing is wrong, and: %+v", f)
		}
	}
	for want, change := range map[string]func(*Facts){
		"error no interface":              func(f *Facts) { f.Interface, f.NoInterface = "", "no interface" },
		"warning 10.0.0.100 is outside":   func(f *Facts) { f.Outside = f.Addresses },
		"error 10.0.0.100 is this node's": func(f *Facts) { f.Own = f.Addresses },
		"error 10.0.0.100 is taken":       func(f *Facts) { f.Taken[a] = "02:00:00:00:00:01" },
		"error the API server's cert":     func(f *Facts) { f.Missing = f.Addresses },
		"warning there are 2 control":     func(f *Facts) { f.Members = 2 },
		"warning there are 4 control":     func(f *Facts) { f.Members = 4 },
		"warning K3s' own load balancer":  func(f *Facts) { f.ServiceLB = true },
		"warning the secret":              func(f *Facts) { f.Secret = false },
		"warning kube-vip is in":          func(f *Facts) { f.Others = []string{"kube-vip is in /etc"} },
		"error address 10.0.0.100 is in":  func(f *Facts) { f.Routed, f.Interface, f.OnSegment = true, "", "address 10.0.0.100 is in the subnet" },
		"error router 10.0.0.1:179 acc": func(f *Facts) {
			f.Routed, f.Interface, f.Peers = true, "", map[string]string{"10.0.0.1:179": "refused", "10.0.0.2:179": ""}
		},
		"warning no kubeconfig is there": func(f *Facts) { f.Kubeconfigs, f.Secret, f.Members = []string{"/etc/x"}, false, 2 },
		"error the kernel does not hold": func(f *Facts) { f.NoFence = "too old" },
	} {
		f := good
		f.Taken = map[netip.Addr]string{}
		change(&f)
		found := false
		for _, x := range Judge(f) {
			if x.Severity == "ok" {
				continue
			}
			if !strings.HasPrefix(x.Severity+" "+x.What, want) || x.Fix == "" {
				t.Errorf("want %q alone, with what to do; have %+v", want, x)
			}
			found = true
		}
		if !found {
			t.Errorf("%q is not found", want)
		}
	}
	for _, f := range []Facts{
		{Addresses: good.Addresses, Routed: true, Peers: map[string]string{"10.0.0.1:179": ""}, Members: 2, API: good.API},
		{Addresses: good.Addresses, Interface: "eth0", Kubeconfigs: []string{"/etc/x"}, Kubeconfig: "/etc/x", Members: 2, API: good.API},
	} {
		for _, x := range Judge(f) {
			if x.Severity != "ok" {
				t.Errorf("nothing is wrong, and: %+v", x)
			}
		}
	}
	f := good
	f.Taken, f.Runs, f.Owner = map[netip.Addr]string{a: "02:00:00:00:00:01"}, true, "10.0.0.12"
	for _, x := range Judge(f) {
		if x.Severity != "ok" {
			t.Errorf("the cluster itself has the address, and: %+v", x)
		}
	}
	for installer, flag := range map[string]string{"kubeadm": "--apiserver-cert-extra-sans=10.0.0.100", "k3s": "--tls-san=10.0.0.100", "rke2": "tls-san: [10.0.0.100]", "": "--tls-san"} {
		if fix := sanFix(installer, a); !strings.Contains(fix, flag) {
			t.Errorf("%q: %s lacks %s", installer, fix, flag)
		}
	}
}
