package legacy

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Passwords are in a file here, not on a command line that every user of the node can read.
const passwordFile = "/var/lib/tsunagu/vip/bgp-password"

// bgp takes over what kube-vip tells routers.
func (s *Settings) bgp(env map[string]string) error {
	s.Mode, s.Interface = "bgp", ""
	s.BGP = BGP{AS: env["bgp_as"], Hops: 1, Hold: 9 * time.Second}
	if s.BGP.AS == "" {
		s.BGP.AS = "65000"
	}
	passwords := map[string]bool{}
	for _, word := range strings.Split(env["bgp_peers"], ",") {
		if word = strings.TrimSpace(word); word == "" {
			continue
		}
		p, password, far, err := peer(word)
		if err != nil {
			return err
		}
		s.BGP.Peers = append(s.BGP.Peers, p)
		passwords[password] = true
		if far {
			s.BGP.Hops = 255
		}
	}
	if at := env["bgp_peeraddress"]; at != "" && len(s.BGP.Peers) == 0 {
		as := env["bgp_peeras"]
		if as == "" {
			as = "65000"
		}
		s.BGP.Peers = append(s.BGP.Peers, at+"="+as)
		passwords[env["bgp_peerpass"]] = true
		if far, _ := strconv.ParseBool(env["bgp_multihop"]); far {
			s.BGP.Hops = 255
		}
	}
	if text := env["bgp_hold_time"]; text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("bgp_hold_time %q is no number of seconds", text)
		}
		s.BGP.Hold = time.Duration(n) * time.Second
	}
	if len(passwords) > 1 {
		return fmt.Errorf("bgp_peers: peers have different passwords; tsunagu-vip has one for all (--bgp-password-file)")
	}
	if !passwords[""] && len(passwords) == 1 {
		s.BGP.PasswordFile = passwordFile
		s.note("the password of the BGP sessions must be in %s on every node (mode 0600): it is not printed here", passwordFile)
	}
	if env["bgp_routerid"] != "" {
		s.note("bgp_routerid=%s is left out: it is each node's own IPv4 address unless --bgp-router-id says otherwise", env["bgp_routerid"])
	}
	return nil
}

// peer reads kube-vip's ADDRESS:AS:PASSWORD:MULTIHOP[/…]; an IPv6 address is in brackets.
func peer(word string) (p, password string, far bool, err error) {
	word, _, _ = strings.Cut(word, "/")
	at, rest, ok := strings.Cut(word, ":")
	if strings.HasPrefix(word, "[") {
		at, rest, ok = strings.Cut(strings.TrimPrefix(word, "["), "]:")
	}
	a, bad := netip.ParseAddr(at)
	if !ok || bad != nil {
		return "", "", false, fmt.Errorf("bgp_peers: %q is not ADDRESS:AS:PASSWORD:MULTIHOP", word)
	}
	as, rest, _ := strings.Cut(rest, ":")
	if i := strings.LastIndexByte(rest, ':'); i >= 0 {
		far, _ = strconv.ParseBool(rest[i+1:])
		rest = rest[:i]
	}
	return a.String() + "=" + as, rest, far, nil
}

// table takes over a routing table.
func (s *Settings) table(env map[string]string) {
	s.Mode, s.Interface, s.Table, s.Protocol = "table", "", 198, 248
	if n, err := strconv.Atoi(env["vip_routingtableid"]); err == nil {
		s.Table = n
	}
	if n, err := strconv.Atoi(env["vip_routingtableprotocol"]); err == nil {
		s.Protocol = n
	}
}

// lease is the object by which kube-vip's nodes agree.
func (s *Settings) lease(env map[string]string) error {
	s.Lease = Lease{Name: "kube-system/plndr-cp-lock", Duration: 5 * time.Second, Retry: time.Second}
	space, name := "kube-system", "plndr-cp-lock"
	if env["cp_namespace"] != "" {
		space = env["cp_namespace"]
	}
	if env["vip_leasename"] != "" {
		name = env["vip_leasename"]
	}
	if s.Lease.Name = name; !strings.Contains(name, "/") {
		s.Lease.Name = space + "/" + name
	}
	for of, to := range map[string]*time.Duration{"vip_leaseduration": &s.Lease.Duration, "vip_retryperiod": &s.Lease.Retry} {
		if env[of] == "" {
			continue
		}
		n, err := strconv.Atoi(env[of])
		if err != nil || n < 1 {
			return fmt.Errorf("%s %q is no number of seconds", of, env[of])
		}
		*to = time.Duration(n) * time.Second
	}
	s.Lease.Retry = min(s.Lease.Retry, s.Lease.Duration/3)
	return nil
}
