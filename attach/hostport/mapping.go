package hostport

import (
	"fmt"
	"net/netip"
	"strings"
)

// Mapping is one port of the node that leads to a port of a Pod.
type Mapping struct {
	// HostIP is the address of the node that it is at: invalid for all of both families, 0.0.0.0 or :: for all of one.
	HostIP netip.Addr
	// HostPort is the port on the node, ContainerPort the one of the Pod.
	HostPort, ContainerPort uint16
	Protocol                Protocol
}

// Protocol is TCP, UDP or SCTP, by its IANA number.
type Protocol uint8

const (
	TCP  Protocol = 6
	UDP  Protocol = 17
	SCTP Protocol = 132
)

func (p Protocol) String() string {
	switch p {
	case TCP:
		return "tcp"
	case UDP:
		return "udp"
	case SCTP:
		return "sctp"
	}
	return fmt.Sprintf("protocol %d", uint8(p))
}

// ParseMapping reads an element of CNI's portMappings capability. A protocol of "" is TCP, case does not matter.
func ParseMapping(hostIP string, hostPort, containerPort int, protocol string) (Mapping, error) {
	var m Mapping
	if hostIP != "" {
		a, err := netip.ParseAddr(hostIP)
		if err != nil {
			return m, fmt.Errorf("hostIP %q is not an IP address", hostIP)
		}
		m.HostIP = a.Unmap().WithZone("")
	}
	if hostPort < 1 || hostPort > 65535 {
		return m, fmt.Errorf("hostPort %d is not between 1 and 65535", hostPort)
	}
	if containerPort < 1 || containerPort > 65535 {
		return m, fmt.Errorf("containerPort %d is not between 1 and 65535", containerPort)
	}
	m.HostPort, m.ContainerPort = uint16(hostPort), uint16(containerPort)
	switch strings.ToLower(protocol) {
	case "", "tcp":
		m.Protocol = TCP
	case "udp":
		m.Protocol = UDP
	case "sctp":
		m.Protocol = SCTP
	default:
		return m, fmt.Errorf("protocol %q is not tcp, udp or sctp", protocol)
	}
	return m, nil
}

// String is "0.0.0.0:80/tcp", "*:80/tcp" for all addresses of both families.
func (m Mapping) String() string {
	if !m.HostIP.IsValid() {
		return fmt.Sprintf("*:%d/%s", m.HostPort, m.Protocol)
	}
	return fmt.Sprintf("%s/%s", netip.AddrPortFrom(m.HostIP, m.HostPort), m.Protocol)
}
