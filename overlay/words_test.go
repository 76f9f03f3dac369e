package overlay_test

import (
	"net/netip"
	"strings"
)

func contains(s, part string) bool { return strings.Contains(s, part) }
func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }
func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }
