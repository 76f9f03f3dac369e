package attach

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/tsunagu-net/tsunagu/attach/chained"
	"github.com/tsunagu-net/tsunagu/attach/hostport"
	"github.com/tsunagu-net/tsunagu/attach/kind"
	"github.com/tsunagu-net/tsunagu/near"
)

// element is one element of the JSON form as it is written (Multi-Net spec 1.3 section 4.1.2.1).
type element struct {
	name, namespace, ifName, ifNameOld, mac, claim string
	ips, defaultRoute                              []string
	hasDefault                                     bool
	deviceID, guid                                 string
	ports                                          []portMapping
	bandwidth                                      *chained.Bandwidth
	cniArgs                                        map[string]json.RawMessage
}

// fieldTypes are the fields that are no strings.
var fieldTypes = map[string]string{
	"ips": "a list of strings", "default-route": "a list of strings", "cni-args": "an object",
	"portMappings": `a list of {"hostPort":…,"containerPort":…,"protocol":…,"hostIP":…}`,
	"bandwidth":    `{"ingressRate":…,"ingressBurst":…,"egressRate":…,"egressBurst":…} with whole numbers of bits`,
}

// elementFields reads the fields.
var elementFields = map[string]func(*element, json.RawMessage) error{
	"name":                 func(e *element, raw json.RawMessage) error { return json.Unmarshal(raw, &e.name) },
	"namespace":            func(e *element, raw json.RawMessage) error { return json.Unmarshal(raw, &e.namespace) },
	"interface":            func(e *element, raw json.RawMessage) error { return json.Unmarshal(raw, &e.ifName) },
	"interfaceRequest":     func(e *element, raw json.RawMessage) error { return json.Unmarshal(raw, &e.ifNameOld) },
	"mac":                  func(e *element, raw json.RawMessage) error { return json.Unmarshal(raw, &e.mac) },
	"ips":                  func(e *element, raw json.RawMessage) error { return json.Unmarshal(raw, &e.ips) },
	"ipam-claim-reference": func(e *element, raw json.RawMessage) error { return json.Unmarshal(raw, &e.claim) },
	"deviceID":             func(e *element, raw json.RawMessage) error { return json.Unmarshal(raw, &e.deviceID) },
	"infiniband-guid":      func(e *element, raw json.RawMessage) error { return json.Unmarshal(raw, &e.guid) },
	"portMappings":         func(e *element, raw json.RawMessage) error { return json.Unmarshal(raw, &e.ports) },
	"bandwidth":            func(e *element, raw json.RawMessage) error { return json.Unmarshal(raw, &e.bandwidth) },
	"cni-args":             func(e *element, raw json.RawMessage) error { return json.Unmarshal(raw, &e.cniArgs) },
	"default-route": func(e *element, raw json.RawMessage) error {
		e.hasDefault = true
		return json.Unmarshal(raw, &e.defaultRoute)
	},
}

// parseJSONSelections reads the form [{"name": …}, …].
func parseJSONSelections(annotation string) ([]Selection, error) {
	dec := json.NewDecoder(strings.NewReader(annotation))
	var raws []json.RawMessage
	err := dec.Decode(&raws)
	if err == nil {
		if _, more := dec.Token(); !errors.Is(more, io.EOF) {
			return nil, badAnnotation(fmt.Sprintf("%s: something follows the list", position(annotation, dec.InputOffset())))
		}
	}
	if err != nil {
		if strings.HasPrefix(strings.TrimSpace(annotation), "{") {
			return nil, badAnnotation("it is one JSON object and must be a list: put [ ] around it")
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, badAnnotation(position(annotation, int64(len(annotation))) + ": the JSON ends too early")
		}
		return nil, badAnnotation(explainJSON(annotation, err))
	}
	var selections []Selection
	for i, raw := range raws {
		e, err := readElement(i+1, raw)
		if err != nil {
			return nil, err
		}
		s, err := e.selection(i + 1)
		if err != nil {
			return nil, err
		}
		selections = append(selections, s)
	}
	return selections, nil
}

func badAnnotation(message string) *Refusal {
	return refusef(ReasonBadSelection, `write a list such as [{"name":"blue"}], or the short form blue,red@eth5`,
		"annotation %s is not valid: %s", SelectionAnnotation, message)
}

// readElement reads the fields of element index. A field nobody knows is refused: what a user writes has a meaning to him.
func readElement(index int, raw json.RawMessage) (element, error) {
	var e element
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil || fields == nil {
		return e, badElement(index, "", fmt.Sprintf("must be an object, not %s", abbreviate(string(raw))), `write {"name":"…"}`)
	}
	if field := twice(raw); field != "" {
		return e, badElement(index, field, "is written twice", "write it once")
	}
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		value := fields[field]
		read, ok := elementFields[field]
		if !ok {
			r := badElement(index, field, "is not a field of a network selection", unknownFieldFix(field))
			r.Reason = ReasonUnsupportedField
			return e, r
		}
		if string(value) == "null" {
			continue
		}
		if err := read(&e, value); err != nil {
			what := "a string"
			if other, ok := fieldTypes[field]; ok {
				what = other
			}
			return e, badElement(index, field, fmt.Sprintf("must be %s, not %s", what, abbreviate(string(value))), "correct the annotation")
		}
	}
	return e, nil
}

func unknownFieldFix(field string) string {
	known := slices.Sorted(maps.Keys(elementFields))
	if meant := near.Names(field, known); len(meant) > 0 {
		return fmt.Sprintf("write %q", meant[0])
	}
	return "use " + strings.Join(known, ", ")
}

func abbreviate(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return s
}

// infinibandGUID is a GUID as the plugins for InfiniBand read it.
var infinibandGUID = regexp.MustCompile(`^([0-9a-fA-F]{2}:){7}[0-9a-fA-F]{2}$`)

// selection makes values of an element's texts.
func (e element) selection(index int) (Selection, error) {
	s := Selection{Namespace: e.namespace, Name: e.name, IfName: e.ifName, Claim: e.claim, WantsDefault: e.hasDefault}
	if e.name == "" {
		return s, badElement(index, "name", "is missing", "name the network attachment definition")
	}
	if s.IfName == "" {
		s.IfName = e.ifNameOld
	}
	if e.mac != "" {
		mac, err := kind.ParseMAC(e.mac)
		if err != nil {
			return s, badElement(index, "mac", err.Error(), "write a single address such as 02:00:5e:10:00:01, or leave it out")
		}
		s.MAC = mac
	}
	for i, text := range e.ips {
		ip, err := parseIP(text)
		if err != nil {
			return s, badElement(index, fmt.Sprintf("ips[%d]", i), err.Error(), "write an address such as 192.168.10.5 or 192.168.10.5/24")
		}
		if slices.ContainsFunc(s.IPs, func(o RequestedIP) bool { return o.Addr == ip.Addr }) {
			return s, badElement(index, fmt.Sprintf("ips[%d]", i), fmt.Sprintf("%s is asked for twice", ip.Addr), "write it once")
		}
		s.IPs = append(s.IPs, ip)
	}
	for i, p := range e.ports {
		m, err := hostport.ParseMapping(p.HostIP, p.HostPort, p.ContainerPort, p.Protocol)
		if err != nil {
			return s, badElement(index, fmt.Sprintf("portMappings[%d]", i), err.Error(), "correct the annotation")
		}
		s.Ports = append(s.Ports, m)
	}
	if e.bandwidth != nil && *e.bandwidth != (chained.Bandwidth{}) {
		s.Bandwidth = e.bandwidth
	}
	if e.guid != "" && !infinibandGUID.MatchString(e.guid) {
		return s, badElement(index, "infiniband-guid", fmt.Sprintf("%q is not a GUID", e.guid), "write eight bytes such as c2:11:22:33:44:55:66:77")
	}
	s.DeviceID, s.GUID, s.CNIArgs = e.deviceID, e.guid, e.cniArgs
	for i, text := range e.defaultRoute {
		gw, err := netip.ParseAddr(strings.TrimSpace(text))
		if err != nil || gw.Zone() != "" || gw.IsUnspecified() || gw.IsMulticast() {
			return s, badElement(index, fmt.Sprintf("default-route[%d]", i), fmt.Sprintf("%q is not the address of a gateway", text), "write an address such as 192.168.10.1")
		}
		s.DefaultRoute = append(s.DefaultRoute, gw.Unmap())
	}
	return s, nil
}

// parseIP reads an address with or without a prefix length.
func parseIP(text string) (RequestedIP, error) {
	text = strings.TrimSpace(text)
	bad := fmt.Errorf("%q is not an IP address", text)
	ip := RequestedIP{Bits: -1}
	if prefix, err := netip.ParsePrefix(text); err == nil {
		ip = RequestedIP{Addr: prefix.Addr(), Bits: prefix.Bits()}
		if ip.Addr.Is4In6() {
			return ip, bad
		}
	} else if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		ip.Addr = addr.Unmap()
	} else {
		return ip, bad
	}
	if ip.Addr.IsUnspecified() || ip.Addr.IsMulticast() || ip.Addr.IsLoopback() {
		return ip, fmt.Errorf("%s cannot be an interface's address", ip.Addr)
	}
	return ip, nil
}
