package kind

import (
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// portrait is everything on the node and in a Pod that a plugin may have made, one object a line, with what every plugin names as it
// likes under one name: END for the node's end of a veth, GWPORT for the port of a gateway in a VLAN. asked is the MAC that was asked for.
func (w *world) portrait(pod *netns.Namespace, asked net.HardwareAddr) []string {
	w.Helper()
	node := w.dial(w.node)
	nodeLinks, err := node.Links()
	w.must(err)
	lines := w.portraitOf("node", w.node, nodeLinks, nil)
	inside := w.dial(pod)
	podLinks, err := inside.Links()
	w.must(err)
	for _, l := range podLinks {
		if l.Kind == "" || l.Kind == "sit" || l.Kind == "ipip" || l.Kind == "ip6tnl" || l.Kind == "gre" {
			continue
		}
		policy := "own"
		switch {
		case asked != nil && l.MAC.String() == asked.String():
			policy = "asked"
		case slices.ContainsFunc(slices.Concat(nodeLinks, podLinks), func(o link.Link) bool { return o.Name != l.Name && o.MAC.String() == l.MAC.String() }):
			policy = "shared"
		}
		lines = append(lines, fmt.Sprintf("pod mac %s: %s", l.Name, policy))
	}
	lines = append(lines, w.portraitOf("pod", pod, podLinks, nodeLinks)...)
	slices.Sort(lines)
	return lines
}

// portraitOf are the objects of one namespace. elsewhere are the links of the other.
func (w *world) portraitOf(side string, ns *netns.Namespace, links, elsewhere []link.Link) (lines []string) {
	w.Helper()
	c := w.dial(ns)
	name := map[int]string{0: "none"}
	for _, l := range links {
		name[l.Index] = portraitName(side, l, links)
	}
	parent := func(l link.Link) string {
		all := links
		if elsewhere != nil && l.Kind != "veth" && !slices.ContainsFunc(links, func(o link.Link) bool { return o.Index == l.Parent }) {
			all = elsewhere
		}
		for _, o := range all {
			if o.Index == l.Parent && l.Kind != "veth" {
				return o.Name
			}
		}
		return "none"
	}
	vlans, err := c.VLANsOfPorts()
	w.must(err)
	for _, l := range links {
		if l.Loopback || l.Kind == "sit" || l.Kind == "ipip" || l.Kind == "ip6tnl" || l.Kind == "gre" {
			continue
		}
		line := fmt.Sprintf("%s link %s: kind %s, mode %q, vlan %d, mtu %d, up %v, promisc %v, master %s, parent %s",
			side, name[l.Index], l.Kind, l.Mode, l.VLAN, l.MTU, l.Up, l.Promisc, name[l.Master], parent(l))
		if l.BroadcastQueue != 0 {
			line += fmt.Sprintf(", queue %d", l.BroadcastQueue)
		}
		if l.Kind == "bridge" {
			line += fmt.Sprintf(", filters %v", l.FiltersVLANs)
		}
		if l.Tap != nil {
			line += ", tap " + describeTap(l.Tap)
		}
		if l.Master != 0 {
			line += fmt.Sprintf(", hairpin %v, isolated %v, vlans %s", l.Port.Hairpin, l.Port.Isolated, describeVLANs(vlans[l.Index]))
		}
		lines = append(lines, line)
	}
	addresses, err := c.Addresses()
	w.must(err)
	for _, a := range addresses {
		if !a.Prefix.Addr().IsLinkLocalUnicast() && !a.Prefix.Addr().IsLoopback() {
			lines = append(lines, fmt.Sprintf("%s address %s: %s", side, name[a.Index], a.Prefix))
		}
	}
	routes, err := c.Routes()
	w.must(err)
	for _, r := range routes {
		if r.Dst.Addr().IsMulticast() || r.Dst.Addr().IsLinkLocalUnicast() {
			continue
		}
		gw := "none"
		if r.Gateway.IsValid() {
			gw = r.Gateway.String()
		}
		lines = append(lines, fmt.Sprintf("%s route %s: %s via %s table %d", side, name[r.Index], r.Dst, gw, r.Table))
	}
	w.must(ns.Do(func() error {
		for _, knob := range []string{"ipv4/ip_forward", "ipv6/conf/all/forwarding"} {
			lines = append(lines, side+" sysctl "+knob+": "+link.ReadHere(knob))
		}
		for _, l := range links {
			if side != "pod" || l.Loopback || l.Kind == "sit" || l.Kind == "ipip" || l.Kind == "ip6tnl" || l.Kind == "gre" {
				continue
			}
			for _, knob := range []string{"ipv4/conf/%s/arp_notify", "ipv6/conf/%s/ndisc_notify", "ipv6/conf/%s/accept_dad", "ipv6/conf/%s/disable_ipv6"} {
				path := fmt.Sprintf(knob, l.Name)
				lines = append(lines, side+" sysctl "+path+": "+link.ReadHere(path))
			}
		}
		return nil
	}))
	return lines
}

// portraitName is the name of a link of the node, if nobody knows it, by what it is for.
func portraitName(side string, l link.Link, links []link.Link) string {
	known := []string{"up1", "up2", "dev0", "primary"}
	if side != "node" || l.Kind != "veth" || slices.Contains(known, l.Name) || strings.Contains(l.Name, ".") {
		return l.Name
	}
	for _, o := range links {
		if o.Index == l.Parent && o.Kind == "veth" && strings.Contains(o.Name, ".") {
			return "GWPORT"
		}
	}
	return "END"
}
