package ipam

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
)

// DHCP is how addresses are asked for of a server on the network.
type DHCP struct {
	// V4 and V6 say by which protocols: RFC 2131, and RFC 8415 for one address
	// (IA_NA).
	V4, V6 bool
	// Provide are options that are sent, Request the numbers of those that are
	// asked for.
	Provide []DHCPOption
	Request []uint8
	// Metric of the routes that the server gives, 0 for the kernel's own.
	Metric int
}

// DHCPOption is an option of DHCP for IPv4 that is sent (RFC 2132). Its value
// is Value, or that of the argument of CNI called FromArg.
type DHCPOption struct {
	Code           uint8
	Value, FromArg string
}

// dhcpSection mirrors the JSON of type dhcp (CNI plugins v1.9,
// plugins/ipam/dhcp), and two fields of our own: dhcp4 and dhcp6.
type dhcpSection struct {
	Priority int `json:"priority"`
	Provide  []struct {
		Option  string `json:"option"`
		Value   string `json:"value"`
		FromArg string `json:"fromArg"`
	} `json:"provide"`
	Request []struct {
		SkipDefault bool   `json:"skipDefault"`
		Option      string `json:"option"`
	} `json:"request"`
	// V4 and V6 are dhcp4, which is true unless it is written, and dhcp6.
	V4 *bool `json:"dhcp4"`
	V6 bool  `json:"dhcp6"`
}

// dhcpNames are the options that may be named. The first group is the
// plugin's own, the rest the words of RFC 2132 that dhclient uses.
var dhcpNames = map[string]uint8{
	"dhcp-client-identifier": 61, "subnet-mask": 1, "routers": 3, "static-routes": 33, "rfc3442-classless-static-routes": 121,
	"classless-static-routes": 121, "user-class": 77, "vendor-class-identifier": 60, "host-name": 12,
	"domain-name": 15, "domain-name-servers": 6, "domain-search": 119, "interface-mtu": 26, "ntp-servers": 42,
}

// dhcpDefaults are asked for unless skipDefault says otherwise.
var dhcpDefaults = []uint8{1, 3, 33, 121, 6, 15, 119, 26}

// dhcpKept are options that are not the configuration's to set, and what they
// are.
var dhcpKept = map[uint8]string{
	0: "padding", 50: "the address asked for", 51: "the time of the lease", 52: "overload", 53: "the kind of message", 54: "the server", 55: "the list of options asked for", 57: "the size of messages", 255: "the end",
}

// parseDHCP reads type dhcp. daemonSocketPath is passed over: the agent is the
// daemon.
func parseDHCP(raw []byte) (Config, error) {
	c := Config{Type: TypeDHCP, DHCP: &DHCP{V4: true}}
	var s dhcpSection
	if err := json.Unmarshal(raw, &s); err != nil {
		return c, bad("ipam: "+jsonProblem(err), "correct the network's configuration")
	}
	if s.V4 != nil {
		c.DHCP.V4 = *s.V4
	}
	if c.DHCP.V6 = s.V6; !c.DHCP.V4 && !c.DHCP.V6 {
		return c, bad("ipam: dhcp4 is false and dhcp6 is not true, so there is nothing to ask for", `remove "dhcp4", or add "dhcp6": true`)
	}
	if c.DHCP.Metric = s.Priority; s.Priority < 0 {
		return c, bad(fmt.Sprintf("ipam.priority %d: must not be negative", s.Priority), "write the metric that routes shall have, or remove it")
	}
	for i, o := range s.Provide {
		code, err := dhcpCode(o.Option)
		if err == nil && dhcpKept[code] != "" {
			err = fmt.Errorf("is %s, which the protocol sets", dhcpKept[code])
		}
		if err == nil && len(o.Value) > 255 {
			err = fmt.Errorf("has a value of %d bytes, at most 255 fit", len(o.Value))
		}
		if err == nil && (o.Value == "") == (o.FromArg == "") {
			err = fmt.Errorf("needs either a value or fromArg")
		}
		if err != nil {
			return c, bad(fmt.Sprintf("ipam.provide[%d].option %q: %v", i, o.Option, err), "correct or remove it")
		}
		c.DHCP.Provide = append(c.DHCP.Provide, DHCPOption{code, o.Value, o.FromArg})
	}
	defaults := true
	for i, o := range s.Request {
		defaults = defaults && !o.SkipDefault
		if o.Option == "" {
			continue // it says skipDefault, as in the plugin's documentation
		}
		code, err := dhcpCode(o.Option)
		if err != nil {
			return c, bad(fmt.Sprintf("ipam.request[%d].option %q: %v", i, o.Option, err), "correct or remove it")
		}
		c.DHCP.Request = append(c.DHCP.Request, code)
	}
	if defaults {
		c.DHCP.Request = append(slices.Clone(dhcpDefaults), c.DHCP.Request...)
	}
	slices.Sort(c.DHCP.Request)
	c.DHCP.Request = slices.Compact(c.DHCP.Request)
	return c, nil
}

func dhcpCode(text string) (uint8, error) {
	if code, ok := dhcpNames[text]; ok {
		return code, nil
	}
	n, err := strconv.ParseUint(text, 10, 8)
	if err != nil || n == 0 || n == 255 {
		return 0, fmt.Errorf("is neither a number from 1 to 254 nor a name that is known, such as host-name")
	}
	return uint8(n), nil
}
