package legacy

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestKubeVIP(t *testing.T) {
	s, err := FromKubeVIP(map[string]string{"address": "10.0.0.100,fd00::100", "vip_interface": "eth0", "port": "6444", "cp_enable": "true", "vip_arp": "true",
		"svc_enable": "true", "vip_leaseduration": "5", "bgp_enable": "false"})
	if err != nil || len(s.Addresses) != 2 || s.Interface != "eth0" || s.APIPort != 6444 {
		t.Errorf("%+v, %v", s, err)
	}
	notes := strings.Join(append(s.Notes, s.LeaseNotes...), "\n")
	if want := (Lease{"kube-system/plndr-cp-lock", 5 * time.Second, time.Second}); s.Lease != want {
		t.Errorf("%+v", s.Lease)
	}
	s, err = FromKubeVIP(map[string]string{"address": "10.0.0.100", "cp_namespace": "vip", "vip_leasename": "mine", "vip_leaseduration": "15", "vip_retryperiod": "2"})
	if want := (Lease{"vip/mine", 15 * time.Second, 2 * time.Second}); err != nil || s.Lease != want {
		t.Errorf("%+v, %v", s.Lease, err)
	}
	for _, want := range []string{"svc_enable", "vip_leaseduration=5"} {
		if !strings.Contains(notes, want) {
			t.Errorf("nothing is said of %s: %s", want, notes)
		}
	}
	for want, env := range map[string]map[string]string{
		"no address":               {"cp_enable": "true"},
		"WireGuard":                {"address": "10.0.0.100", "vip_wireguard": "true"},
		"vip_leaseduration \"5s\"": {"address": "10.0.0.100", "vip_leaseduration": "5s"},
		"is not ADDRE":             {"address": "10.0.0.100", "bgp_enable": "true", "bgp_peers": "router:65001"},
		"different pa":             {"address": "10.0.0.100", "bgp_enable": "true", "bgp_peers": "10.0.0.1:65001:a:false,10.0.0.2:65001:b:false"},
		"bgp_hold_tim":             {"address": "10.0.0.100", "bgp_enable": "true", "bgp_hold_time": "3s"},
		"a name must":              {"address": "api.example.org"},
		`port "70000"`:             {"address": "10.0.0.100", "port": "70000"},
	} {
		if _, err := FromKubeVIP(env); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", env, err, want)
		}
	}
	env := KubeVIPFlags([]string{"manager", "--interface", "eth1", "--address=10.0.0.7", "--controlplane", "--arp", "--leaderElection"})
	if s, err := FromKubeVIP(env); err != nil || s.Interface != "eth1" || s.Addresses[0] != netip.MustParseAddr("10.0.0.7") {
		t.Errorf("flags: %+v, %v", s, err)
	}
}

func TestKubeVIPToldRouters(t *testing.T) {
	s, err := FromKubeVIP(map[string]string{"address": "192.0.2.10", "cp_enable": "true", "vip_interface": "lo", "bgp_enable": "true", "bgp_as": "65007", "bgp_routerid": "10.0.0.11",
		"bgp_peers": "10.0.0.1:65001:pa:ss:true,[fd00::1]:65002:pa:ss:false", "bgp_hold_time": "30"})
	want := BGP{AS: "65007", Peers: []string{"10.0.0.1=65001", "fd00::1=65002"}, PasswordFile: passwordFile, Hops: 255, Hold: 30 * time.Second}
	if err != nil || s.Mode != "bgp" || s.Interface != "" || !reflect.DeepEqual(s.BGP, want) {
		t.Errorf("%+v, %v", s, err)
	}
	if notes := strings.Join(s.Notes, "\n"); !strings.Contains(notes, "bgp_routerid") || !strings.Contains(notes, passwordFile) || strings.Contains(notes, "pa:ss") {
		t.Errorf("notes: %s", notes)
	}
	env := KubeVIPFlags([]string{"manager", "--address=192.0.2.10", "--controlplane", "--bgp", "--peerAddress", "10.0.0.1", "--peerAS", "65009"})
	if s, err := FromKubeVIP(env); err != nil || len(s.BGP.Peers) != 1 || s.BGP.Peers[0] != "10.0.0.1=65009" || s.BGP.PasswordFile != "" {
		t.Errorf("flags: %+v, %v", s, err)
	}
	s, err = FromKubeVIP(map[string]string{"address": "192.0.2.10", "cp_enable": "true", "vip_routingtable": "true", "vip_routingtableid": "77"})
	if err != nil || s.Mode != "table" || s.Table != 77 || s.Protocol != 248 {
		t.Errorf("%+v, %v", s, err)
	}
}

const conf = `! a comment
global_defs { router_id LVS }
vrrp_script check { script "/bin/true" }
vrrp_instance apiserver
{
    state BACKUP
    interface eth0   # the uplink
    virtual_router_id 51
    priority 110
    nopreempt
    advert_int 0.1
    unicast_peer {
        10.0.0.12
        10.0.0.13
    }
    authentication { auth_type PASS
      auth_pass 42 }
    virtual_ipaddress { 10.0.0.100/24 dev eth0 }
    track_script { check }
}
vrrp_instance web { interface eth1
  virtual_ipaddress {
    192.168.0.1
  }
}
`

func TestKeepalived(t *testing.T) {
	s, err := FromKeepalived(conf, netip.MustParseAddr("10.0.0.100"))
	want := []netip.Addr{netip.MustParseAddr("10.0.0.12"), netip.MustParseAddr("10.0.0.13")}
	if err != nil || s.Interface != "eth0" || s.Weight != 110 || s.Preempt || !slices.Equal(s.Peers, want) || len(s.Addresses) != 1 {
		t.Errorf("%+v, %v", s, err)
	}
	for want, c := range map[string]string{
		"several vrrp_instance": conf,
		"no vrrp_instance":      "global_defs {\n}\n",
		"is not closed":         "vrrp_instance a {\n",
		"closes nothing":        "}\n",
		"no virtual_ipaddress":  "vrrp_instance a { interface eth0\n}\n",
		`unicast_peer "node"`:   "vrrp_instance a {\nunicast_peer {\nnode\n}\n}\n",
		`"name" is no IP`:       "vrrp_instance a {\nvirtual_ipaddress {\nname\n}\n}\n",
		`priority "300"`:        "vrrp_instance a {\npriority 300\n}\n",
	} {
		if _, err := FromKeepalived(c, netip.Addr{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", c, err, want)
		}
	}
}

func FuzzKeepalived(f *testing.F) {
	f.Add(conf)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := FromKeepalived(text, netip.Addr{})
		if err == nil && len(s.Addresses) == 0 {
			t.Error("settings without an address")
		}
	})
}
