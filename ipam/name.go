package ipam

import (
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

var errLabel = errors.New("must be at most 63 lower-case letters, digits and '-', and begin and end with a letter or digit")

// isLabel tells whether text is a DNS label (RFC 1123 section 2.1), which is
// what a domain must be to stand in names and label values.
func isLabel(text string) bool {
	if len(text) == 0 || len(text) > 63 || text[0] == '-' || text[len(text)-1] == '-' {
		return false
	}
	for _, c := range []byte(text) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

const hashed = "x--"

// domainOf makes a domain of any text: of a label itself, of everything else
// its SHA-256 behind "x--". Two texts have two domains (no label that stands
// for itself begins with "x--"), and none that of the pod network or of a quota.
func domainOf(text string) string {
	switch {
	case text == "":
		return DefaultDomain
	case isLabel(text) && text != PodDomain && !strings.HasPrefix(text, hashed) && !IsQuota(text):
		return text
	}
	sum := sha256.Sum256([]byte(text))
	return hashed + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:]))
}

// objectName names a region or block by its first address, or a bound
// address: DOMAIN.192-168-10-0. Different domains and addresses have different
// names, because a domain has no dot and the address is written in full; no
// name is cut short. This is what makes create-if-absent a lock.
func objectName(domain string, a netip.Addr) string {
	return domain + "." + dashed(a)
}

// dashed writes an address with dashes: 192-168-10-0, or eight groups of four
// digits.
func dashed(a netip.Addr) string {
	return strings.NewReplacer(".", "-", ":", "-").Replace(a.StringExpanded())
}

// PoolName names the IPPool that a Network's subnet becomes:
// NETWORK-192-168-10-0-24, with a hash in place of what is more than 63
// characters.
func PoolName(network string, prefix netip.Prefix) string {
	prefix = prefix.Masked()
	name := fmt.Sprintf("%s-%s-%d", network, strings.Trim(strings.NewReplacer(".", "-", ":", "-").Replace(prefix.Addr().String()), "-"), prefix.Bits())
	if len(name) <= 63 {
		return name
	}
	sum := sha256.Sum256([]byte(network + "|" + prefix.String()))
	return strings.TrimRight(name[:50], "-") + "-" + fmt.Sprintf("%x", sum[:6])
}

// DomainOf is the domain of a network_name, "" for a network without one.
func DomainOf(networkName string) string { return domainOf(networkName) }
