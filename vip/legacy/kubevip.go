package legacy

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// dropped are settings of kube-vip that have no meaning here, and why.
var dropped = map[string]string{
	"vip_leaderelection": "owning is not decided by a Lease", "vip_leasename": "owning is not decided by a Lease", "vip_leaseduration": "--timing says how fast a lost node is noticed",
	"vip_renewdeadline": "--timing says how fast a lost node is noticed", "vip_retryperiod": "--timing says how fast a lost node is noticed",
	"vip_arpRate": "announcements follow a change at once and are repeated", "k8s_config_file": "no credential is needed", "kubernetes_addr": "no API server is asked",
	"lb_enable": "the proxy on 127.0.0.1:7443 of each node does that", "lb_port": "the proxy on 127.0.0.1:7443 of each node does that", "lb_fwdmethod": "the proxy on 127.0.0.1:7443 of each node does that",
	"vip_nodename": "nodes are named by their addresses", "cp_namespace": "nothing is kept in the cluster", "prometheus_server": "metrics are at --http, port 9872",
	"vip_subnet": "the address has no subnet of its own", "vip_cidr": "the address has no subnet of its own", "svc_election": "there is no LoadBalancer here yet",
	"vip_preserve_on_leadership_loss": "an address that is not owned is never used", "enable_node_labeling": "nothing is written to Nodes", "cp_detect": "no API server is asked",
}

// aboutLease are those that --mode=kube-lease takes over.
const aboutLease = " vip_leaderelection vip_leasename vip_leaseduration vip_renewdeadline vip_retryperiod vip_nodename cp_namespace k8s_config_file kubernetes_addr cp_detect "

// modes are those of kube-vip that are not carried out.
var modes = map[string]string{
	"vip_wireguard": "a WireGuard tunnel", "dns_mode": "a name instead of an address",
	"vip_ddns": "dynamic DNS", "enable_upnp": "UPnP", "dhcp_mode": "an address by DHCP",
}

// FromKubeVIP reads kube-vip's environment (its flags are named there too).
func FromKubeVIP(env map[string]string) (Settings, error) {
	s := Settings{APIPort: 6443}
	on := func(name string) bool { v, _ := strconv.ParseBool(env[name]); return v }
	text := env["address"]
	if text == "" {
		text = env["vip_address"]
	}
	if text == "" {
		return s, errors.New("read kube-vip's settings: there is no address (env address)")
	}
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' }) {
		if err := s.add(word); err != nil {
			return s, fmt.Errorf("read kube-vip's settings: address: %w: a name must be replaced by the address that it stands for", err)
		}
	}
	s.Interface = env["vip_interface"]
	if text := env["port"]; text != "" {
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil || port == 0 {
			return s, fmt.Errorf("read kube-vip's settings: port %q is none", text)
		}
		s.APIPort = uint16(port)
	}
	if !on("cp_enable") {
		s.note("cp_enable is not set: kube-vip was not keeping the control plane's address")
	}
	if on("svc_enable") {
		s.note("svc_enable: Services of type LoadBalancer are not served by tsunagu-vip yet; let kube-vip go on with them alone (cp_enable=false)")
	}
	if err := s.lease(env); err != nil {
		return s, fmt.Errorf("read kube-vip's settings: %w", err)
	}
	switch {
	case on("bgp_enable"):
		if err := s.bgp(env); err != nil {
			return s, fmt.Errorf("read kube-vip's settings: %w", err)
		}
	case on("vip_routingtable"):
		s.table(env)
	}
	var names []string
	for name := range env {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if what, bad := modes[name]; bad && env[name] != "" && env[name] != "false" {
			return s, fmt.Errorf("read kube-vip's settings: %s: %s is not built in", name, what)
		}
		if why := dropped[name]; why != "" && strings.Contains(aboutLease, " "+name+" ") {
			s.leaseNote("%s=%s is left out: %s", name, env[name], why)
		} else if why != "" {
			s.note("%s=%s is left out: %s", name, env[name], why)
		}
	}
	return s, nil
}

// KubeVIPFlags turns kube-vip's command line into what its environment would say.
func KubeVIPFlags(args []string) map[string]string {
	names := map[string]string{"address": "address", "vip": "vip_address", "interface": "vip_interface", "controlplane": "cp_enable", "services": "svc_enable", "arp": "vip_arp",
		"bgp": "bgp_enable", "table": "vip_routingtable", "leaderElection": "vip_leaderelection", "leaseDuration": "vip_leaseduration", "leaseRenewDuration": "vip_renewdeadline",
		"leaseRetry": "vip_retryperiod", "port": "port", "enableLoadBalancer": "lb_enable", "lbPort": "lb_port", "k8sConfigPath": "k8s_config_file", "vipSubnet": "vip_subnet", "cidr": "vip_cidr",
		"localAS": "bgp_as", "bgppeers": "bgp_peers", "peerAddress": "bgp_peeraddress", "peerAS": "bgp_peeras", "peerPass": "bgp_peerpass", "multihop": "bgp_multihop",
		"bgpRouterID": "bgp_routerid", "bgpHoldTimer": "bgp_hold_time", "tableID": "vip_routingtableid", "tableProtocol": "vip_routingtableprotocol"}
	env := map[string]string{}
	for i := 0; i < len(args); i++ {
		word, isFlag := strings.CutPrefix(args[i], "--")
		if !isFlag {
			continue
		}
		name, value, has := strings.Cut(word, "=")
		if !has {
			value = "true"
			if i+1 < len(args) && !strings.HasPrefix(args[i+1], "-") {
				i++
				value = args[i]
			}
		}
		if to := names[name]; to != "" {
			env[to] = value
		}
	}
	return env
}
