package delegate

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/types/create"
	"github.com/containernetworking/cni/pkg/version"

	"github.com/tsunagu-net/tsunagu/attach/kind"
)

// readResult reads what a plugin printed after an ADD.
func (c Call) readResult(out []byte) (*types100.Result, error) {
	bad := func(format string, args ...any) error {
		return &Nonsense{Plugin: c.Type, Why: fmt.Sprintf(format, args...), Output: excerpt(out)}
	}
	if len(strings.TrimSpace(string(out))) == 0 {
		return nil, &Nonsense{Plugin: c.Type, Why: "it printed nothing"}
	}
	var head map[string]json.RawMessage
	if err := json.Unmarshal(out, &head); err != nil || head == nil {
		return nil, bad("it is not a JSON object")
	}
	spoken := c.Version
	if raw, ok := head["cniVersion"]; ok {
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			return nil, bad("cniVersion must be a string")
		}
		if text != "" {
			spoken = text
		}
	}
	if spoken != c.Version && !(atLeast(spoken, "0.3.0") && atLeast("0.3.1", spoken) && atLeast(c.Version, "0.3.0") && atLeast("0.3.1", c.Version)) {
		return nil, bad("it is of cniVersion %q, asked for was %q", spoken, c.Version)
	}
	head["cniVersion"], _ = json.Marshal(spoken) // some leave it out
	whole, err := json.Marshal(head)
	if err != nil {
		return nil, bad("%v", err)
	}
	parsed, err := create.Create(spoken, whole)
	if err != nil {
		return nil, bad("%v", err)
	}
	result, err := types100.NewResultFromResult(parsed)
	if err != nil {
		return nil, bad("%v", err)
	}
	if err := sensible(result); err != nil {
		return nil, bad("%v", err)
	}
	return result, nil
}

// ReadResult reads a result that was kept, or that stands as prevResult in a configuration.
func ReadResult(raw []byte) (*types100.Result, error) {
	parsed, err := create.CreateFromBytes(raw)
	if err != nil {
		return nil, err
	}
	result, err := types100.NewResultFromResult(parsed)
	if err != nil {
		return nil, err
	}
	return result, sensible(result)
}

// sensible looks for what no interface can have.
func sensible(r *types100.Result) error {
	for i, one := range r.Interfaces {
		if one == nil || one.Name == "" {
			return fmt.Errorf("interfaces[%d] has no name", i)
		}
		if one.Sandbox != "" && !kind.ValidName(one.Name) {
			return fmt.Errorf("interfaces[%d]: %q cannot be the name of an interface", i, one.Name)
		}
		if one.Mac != "" {
			if _, err := net.ParseMAC(one.Mac); err != nil {
				return fmt.Errorf("interfaces[%d]: %q is not a MAC address", i, one.Mac)
			}
		}
	}
	for i, ip := range r.IPs {
		if ip == nil {
			return fmt.Errorf("ips[%d] is null", i)
		}
		if n := ip.Interface; n != nil && (*n < 0 || *n >= len(r.Interfaces)) {
			return fmt.Errorf("ips[%d] belongs to interface %d, and the result has %d", i, *n, len(r.Interfaces))
		}
		p, ok := Prefix(ip.Address)
		if !ok || p.Addr().IsUnspecified() || p.Addr().IsMulticast() {
			return fmt.Errorf("ips[%d]: %s cannot be the address of an interface", i, ip.Address.String())
		}
	}
	for i, route := range r.Routes {
		if route == nil {
			return fmt.Errorf("routes[%d] is null", i)
		}
		if _, ok := Prefix(route.Dst); !ok {
			return fmt.Errorf("routes[%d]: %s is not a destination", i, route.Dst.String())
		}
	}
	return nil
}

// Prefix is an address with its length in the form of netip; false for what is none.
func Prefix(n net.IPNet) (netip.Prefix, bool) {
	a, ok := netip.AddrFromSlice(n.IP)
	if !ok {
		return netip.Prefix{}, false
	}
	ones, bits := n.Mask.Size()
	if a.Is4In6() && bits == 32 {
		a = a.Unmap()
	}
	if bits != a.BitLen() {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(a, ones), true
}

// Versions are those of configurations that can be handed to plugins, oldest first.
func Versions() []string { return version.All.SupportedVersions() }

// Speak chooses the version in which plugins are spoken to: the newest that the configuration has and is known (CNI spec 1.1.0 section
// 1, cniVersions). A configuration without any is taken for what all plugins speak. One that nobody knows is left for the plugin to refuse.
func Speak(one string, more []string) string {
	best := ""
	for _, v := range append([]string{one}, more...) {
		if slices.Contains(Versions(), v) && (best == "" || atLeast(v, best)) {
			best = v
		}
	}
	switch {
	case best != "":
		return best
	case one != "":
		return one
	}
	return "0.3.1"
}
