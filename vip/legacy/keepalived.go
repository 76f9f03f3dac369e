package legacy

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// block is one of keepalived.conf: its words, and the blocks and lines in it.
type block struct {
	words  []string
	inside []block
}

// FromKeepalived reads keepalived.conf(5): the VRRP instance whose address is that
// of the control plane. With several instances, which is said by an address; the
// invalid one stands for the only one.
func FromKeepalived(conf string, address netip.Addr) (Settings, error) {
	all, err := blocks(conf)
	if err != nil {
		return Settings{}, err
	}
	version := globalVersion(all)
	var found []Settings
	for _, b := range all {
		if len(b.words) == 0 || b.words[0] != "vrrp_instance" {
			continue
		}
		s, err := instance(b, version)
		if err != nil {
			return s, err
		}
		for _, a := range s.Addresses {
			if !address.IsValid() || a == address {
				found = append(found, s)
				break
			}
		}
	}
	switch {
	case len(found) == 0:
		return Settings{}, errors.New("read keepalived.conf: no vrrp_instance has the address")
	case len(found) > 1:
		return Settings{}, errors.New("read keepalived.conf: there are several vrrp_instance: name the control plane's address (--address)")
	}
	s := found[0]
	for _, b := range all {
		if len(b.words) > 0 && b.words[0] == "virtual_server" {
			s.note("virtual_server %s is left out: the proxy on 127.0.0.1:7443 of each node leads to an API server that works", strings.Join(b.words[1:], " "))
		}
	}
	return s, nil
}

// basePriority is keepalived's own when nothing is said.
const basePriority = 100

func instance(b block, version int) (Settings, error) {
	s := Settings{APIPort: 6443, Weight: basePriority, Preempt: true, VRRP: VRRP{Version: version, Interval: "1s"}}
	for _, line := range b.inside {
		if len(line.words) == 0 {
			continue
		}
		key, rest := line.words[0], line.words[1:]
		switch key {
		case "interface":
			if len(rest) > 0 {
				s.Interface = rest[0]
			}
		case "priority":
			if len(rest) > 0 {
				n, err := strconv.Atoi(rest[0])
				if err != nil || n < 1 || n > 255 {
					return s, fmt.Errorf("read keepalived.conf: priority %q", rest[0])
				}
				s.Weight = n
			}
		case "nopreempt":
			s.Preempt = false
		case "virtual_ipaddress", "virtual_ipaddress_excluded":
			for _, a := range line.inside {
				if len(a.words) > 0 {
					if err := s.add(a.words[0]); err != nil {
						return s, fmt.Errorf("read keepalived.conf: %s: %w", key, err)
					}
				}
			}
		case "unicast_peer":
			for _, a := range line.inside {
				if len(a.words) == 0 {
					continue
				}
				p, err := netip.ParseAddr(a.words[0])
				if err != nil {
					return s, fmt.Errorf("read keepalived.conf: unicast_peer %q is no IP address", a.words[0])
				}
				s.Peers = append(s.Peers, p)
			}
		case "advert_int":
			if len(rest) > 0 {
				if n, err := strconv.ParseFloat(rest[0], 64); err != nil || n < 0.01 || n > 255 {
					return s, fmt.Errorf("read keepalived.conf: advert_int %q", rest[0])
				}
				s.VRRP.Interval = rest[0] + "s"
			}
			s.leaseNote("advert_int %s is left out: --timing says how fast a lost node is noticed (default: after 400ms)", strings.Join(rest, " "))
		case "version":
			if len(rest) > 0 {
				s.VRRP.Version = vrrpVersion(rest[0], s.VRRP.Version)
			}
		case "authentication":
			for _, a := range line.inside {
				switch {
				case len(a.words) < 2:
				case a.words[0] == "auth_type" && a.words[1] != "PASS":
					s.note("auth_type %s is left out: there is nothing like it", a.words[1])
				case a.words[0] == "auth_pass": // of more keepalived takes eight bytes
					s.VRRP.Password = a.words[1][:min(len(a.words[1]), 8)]
				}
			}
			s.leaseNote("authentication is left out: nodes sign by the cluster's own key")
		case "track_script", "track_interface", "track_process":
			s.note("%s is left out: tsunagu-vip asks this node's API server and looks at the interface itself", key)
		case "virtual_router_id":
			if len(rest) > 0 {
				n, err := strconv.Atoi(rest[0])
				if err != nil || n < 1 || n > 255 {
					return s, fmt.Errorf("read keepalived.conf: virtual_router_id %q", rest[0])
				}
				s.VRRP.Router = n
			}
			s.leaseNote("virtual_router_id is left out: the cluster's own key tells clusters apart")
		case "virtual_routes", "virtual_rules", "notify_master", "notify_backup", "notify_fault", "notify":
			s.note("%s is left out: there is nothing like it", key)
		}
	}
	s.VRRP.Priority = s.Weight
	if s.VRRP.Version == 3 {
		s.VRRP.Password = ""
	}
	if len(s.Addresses) == 0 {
		return s, fmt.Errorf("read keepalived.conf: %s has no virtual_ipaddress", strings.Join(b.words, " "))
	}
	return s, nil
}

// globalVersion is vrrp_version of global_defs; 2 is keepalived's own.
func globalVersion(all []block) int {
	version := 2
	for _, b := range all {
		if len(b.words) == 0 || b.words[0] != "global_defs" {
			continue
		}
		for _, line := range b.inside {
			if len(line.words) == 2 && line.words[0] == "vrrp_version" {
				version = vrrpVersion(line.words[1], version)
			}
		}
	}
	return version
}

func vrrpVersion(word string, otherwise int) int {
	if word == "2" || word == "3" {
		return int(word[0] - '0')
	}
	return otherwise
}

// blocks takes the file apart: words, lines and braces; ! and # begin a comment.
func blocks(conf string) ([]block, error) {
	root := &block{}
	stack := []*block{root}
	for n, line := range strings.Split(conf, "\n") {
		if i := strings.IndexAny(line, "!#"); i >= 0 {
			line = line[:i]
		}
		line = strings.NewReplacer("{", " { ", "}", " } ").Replace(line)
		var words []string
		flush := func() {
			if len(words) > 0 {
				top := stack[len(stack)-1]
				top.inside = append(top.inside, block{words: words})
				words = nil
			}
		}
		for _, w := range strings.Fields(line) {
			switch w {
			case "{":
				top := stack[len(stack)-1]
				if len(words) == 0 && len(top.inside) > 0 { // the brace stands on a line of its own
					stack = append(stack, &top.inside[len(top.inside)-1])
					continue
				}
				top.inside = append(top.inside, block{words: words})
				stack = append(stack, &top.inside[len(top.inside)-1])
				words = nil
			case "}":
				flush()
				if len(stack) == 1 {
					return nil, fmt.Errorf("read keepalived.conf: line %d: a brace closes nothing", n+1)
				}
				stack = stack[:len(stack)-1]
			default:
				words = append(words, w)
			}
		}
		flush()
	}
	if len(stack) > 1 {
		return nil, fmt.Errorf("read keepalived.conf: %s is not closed", strings.Join(stack[len(stack)-1].words, " "))
	}
	return root.inside, nil
}
