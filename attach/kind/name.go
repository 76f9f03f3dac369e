package kind

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ValidName tells whether the kernel takes s as the name of an interface (dev_valid_name) and people can read it.
func ValidName(s string) bool {
	return s != "" && len(s) <= 15 && s != "." && s != ".." &&
		utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return r == '/' || r == ':' || r == '%' || !unicode.IsPrint(r) || unicode.IsSpace(r)
	})
}

// HostName is the name of the node's end of an interface: the same for every attempt, so that a retry finds what was left.
func HostName(containerID, ifName string) string {
	sum := keySum(containerID, ifName)
	return "tsu" + hex.EncodeToString(sum[:6])[:11]
}

func keySum(containerID, ifName string) [sha256.Size]byte {
	return sha256.Sum256([]byte(containerID + "\x00" + ifName))
}

// ParseMAC reads a 48-bit unicast hardware address.
func ParseMAC(s string) (net.HardwareAddr, error) {
	mac, err := net.ParseMAC(s)
	switch {
	case err != nil || len(mac) != 6:
		return nil, fmt.Errorf("%q is not a hardware address such as 02:00:5e:10:00:01", s)
	case mac[0]&1 != 0:
		return nil, fmt.Errorf("%q is a group address, an interface needs a single one", s)
	case mac.String() == "00:00:00:00:00:00":
		return nil, fmt.Errorf("%q is no address", s)
	}
	return mac, nil
}

// derivedMAC is the hardware address of an interface that asked for none: 0a:58 and the IPv4 address, or from the IPv6 address, so
// that an address given to another Pod keeps the MAC its neighbours have cached; without an address, from the key.
func derivedMAC(a *Attachment) net.HardwareAddr {
	for _, address := range a.Addresses {
		if ip := address.Prefix.Addr(); ip.Is4() {
			b := ip.As4()
			return net.HardwareAddr{0x0a, 0x58, b[0], b[1], b[2], b[3]}
		}
	}
	if len(a.Addresses) > 0 {
		return local(sha256.Sum256(a.Addresses[0].Prefix.Addr().AsSlice()))
	}
	return keyMAC(a.ContainerID, a.IfName)
}

// keyMAC is a hardware address that no other interface derives.
func keyMAC(containerID, ifName string) net.HardwareAddr { return local(keySum(containerID, ifName)) }

// local makes a locally administered unicast address of a sum (IEEE 802-2014 clause 8.4).
func local(sum [sha256.Size]byte) net.HardwareAddr {
	mac := net.HardwareAddr(sum[len(sum)-6:])
	mac[0] = mac[0]&^1 | 2
	return mac
}

// perFamily keeps the first valid address of each family.
func perFamily(addrs []netip.Addr) []netip.Addr {
	var v4, v6 bool
	var kept []netip.Addr
	for _, a := range addrs {
		seen := &v6
		if a.Is4() {
			seen = &v4
		}
		if a.IsValid() && !*seen {
			*seen = true
			kept = append(kept, a)
		}
	}
	return kept
}

// gateways lists the gateways that addresses came with.
func gateways(addresses []Address) []netip.Addr {
	var all []netip.Addr
	for _, a := range addresses {
		if a.Gateway.IsValid() {
			all = append(all, a.Gateway)
		}
	}
	return perFamily(all)
}
