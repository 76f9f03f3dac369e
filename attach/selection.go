package attach

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strings"

	"github.com/tsunagu-net/tsunagu/attach/chained"
	"github.com/tsunagu-net/tsunagu/attach/hostport"
	"github.com/tsunagu-net/tsunagu/attach/kind"
)

// SelectionAnnotation is the annotation by which a Pod selects networks (Multi-Net spec 1.3 section 4.1).
const SelectionAnnotation = "k8s.v1.cni.cncf.io/networks"

// Selection is one element of a Pod's annotation: a network that it wants to be attached to, and how.
type Selection struct {
	// Index is the element's place in the list, counted from 1; it also numbers the interface.
	Index int
	// Namespace and Name of the network attachment definition.
	Namespace, Name string
	// IfName is the interface inside the Pod; Auto tells that the annotation does not name it.
	IfName string
	Auto   bool
	// IPs are addresses asked for.
	IPs []RequestedIP
	// MAC asked for; empty means any.
	MAC net.HardwareAddr
	// Claim is the IPClaim, of the Pod's namespace, whose addresses are asked for.
	Claim string
	// Ports, Bandwidth, DeviceID, GUID and CNIArgs are for the plugins of the network: ports of the node, a limit, the device that was
	// allocated, the InfiniBand address, and what they call args.cni.
	Ports     []hostport.Mapping
	Bandwidth *chained.Bandwidth
	DeviceID  string
	GUID      string
	CNIArgs   map[string]json.RawMessage
	// WantsDefault tells that the Pod wants to leave by this network; by the gateways of DefaultRoute, or when there are none by the
	// network's own.
	WantsDefault bool
	DefaultRoute []netip.Addr
	// ByCluster tells that every Pod is on it: nobody asked, and nobody needs permission.
	ByCluster bool `json:",omitempty"`
}

// RequestedIP is an address that a Pod asks for.
type RequestedIP struct {
	Addr netip.Addr
	// Bits is the prefix length if one was written, else -1.
	Bits int
}

// Network is the name under which people know the network: namespace/name.
func (s Selection) Network() string { return s.Namespace + "/" + s.Name }

// requested are the addresses asked for, as text.
func (s Selection) requested() []string {
	var texts []string
	for _, ip := range s.IPs {
		text := ip.Addr.String()
		if ip.Bits >= 0 {
			text = netip.PrefixFrom(ip.Addr, ip.Bits).String()
		}
		texts = append(texts, text)
	}
	return texts
}

// where names the element in messages.
func (s Selection) where() string { return fmt.Sprintf("network %s (%s)", s.Network(), s.IfName) }

// definitionName is the grammar of an object's name (RFC 1123 subdomain). The Multi-Net spec knows no dots; Kubernetes does.
var definitionName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)

// ParseSelections reads the annotation of a Pod in namespace. An empty annotation selects nothing. Errors are Refusals that name the
// element and the field.
func ParseSelections(annotation, namespace string) ([]Selection, error) {
	var selections []Selection
	var err error
	switch {
	case strings.TrimSpace(annotation) == "":
		return nil, nil
	case strings.ContainsAny(annotation, `[{"`):
		selections, err = parseJSONSelections(annotation)
	default:
		selections, err = parseNameSelections(annotation)
	}
	if err == nil {
		err = settle(selections, namespace)
	}
	if err != nil {
		return nil, err
	}
	return selections, nil
}

// settle numbers elements, names those interfaces that have no name, and checks what they say together.
func settle(selections []Selection, namespace string) error {
	taken := map[string]int{"eth0": 0, "lo": 0}
	defaults := map[bool]int{}
	for i := range selections {
		s := &selections[i]
		s.Index = i + 1
		if s.Namespace == "" {
			s.Namespace = namespace
		}
		if s.IfName == "" {
			s.IfName, s.Auto = fmt.Sprintf("net%d", s.Index), true
		}
		if err := s.check(); err != nil {
			return err
		}
		if first, ok := taken[s.IfName]; ok {
			return interfaceConflict(*s, first)
		}
		taken[s.IfName] = s.Index
		for _, gw := range s.DefaultRoute {
			if first := defaults[gw.Is4()]; first != 0 {
				return secondDefault(*s, gw, first)
			}
			defaults[gw.Is4()] = s.Index
		}
	}
	return nil
}

// check looks at the names of an element, however it was written.
func (s *Selection) check() error {
	for field, value := range map[string]string{"name": s.Name, "namespace": s.Namespace} {
		if !definitionName.MatchString(value) || len(value) > 253 {
			return badElement(s.Index, field, fmt.Sprintf("%q is not the name of a Kubernetes object", value),
				"write lower-case letters, digits and '-', beginning and ending with a letter or digit")
		}
	}
	if s.Claim != "" && (!definitionName.MatchString(s.Claim) || len(s.Claim) > 253) {
		return badElement(s.Index, "ipam-claim-reference", fmt.Sprintf("%q is not the name of a Kubernetes object", s.Claim),
			"write the name of an IPClaim (or IPAMClaim) of the Pod's namespace")
	}
	if !kind.ValidName(s.IfName) {
		return badElement(s.Index, "interface", fmt.Sprintf("%q cannot be the name of an interface", s.IfName),
			"write at most 15 characters without '/', ':', '%' and white space")
	}
	return nil
}

// parseNameSelections reads the form [namespace/]name[@interface],…
func parseNameSelections(annotation string) ([]Selection, error) {
	var selections []Selection
	for i, item := range strings.Split(annotation, ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			return nil, badElement(i+1, "", "is empty", "remove the comma too many")
		}
		rest, ifName, named := strings.Cut(item, "@")
		if named && (ifName == "" || strings.Contains(ifName, "@")) {
			return nil, badElement(i+1, "interface", fmt.Sprintf("%q needs one interface name behind one '@'", item), grammar)
		}
		namespace, name, qualified := strings.Cut(rest, "/")
		if !qualified {
			namespace, name = "", rest
		}
		if qualified && (namespace == "" || strings.Contains(name, "/")) {
			return nil, badElement(i+1, "name", fmt.Sprintf("%q has a '/' too many", item), grammar)
		}
		if name == "" {
			return nil, badElement(i+1, "name", fmt.Sprintf("%q names no network", item), grammar)
		}
		selections = append(selections, Selection{Namespace: namespace, Name: name, IfName: ifName})
	}
	return selections, nil
}

const grammar = "write [namespace/]name[@interface], separated by commas, or the JSON form"

// badElement is a Refusal about one element of the annotation.
func badElement(index int, field, message, fix string) *Refusal {
	where := fmt.Sprintf("annotation %s, element %d", SelectionAnnotation, index)
	if field != "" {
		where += fmt.Sprintf(", %q", field)
	}
	return refusef(ReasonBadSelection, fix, "%s: %s", where, message)
}

func interfaceConflict(s Selection, first int) *Refusal {
	r := badElement(s.Index, "interface", "", "give each element another interface, or none at all: then they are net1, net2, …")
	r.Reason = ReasonInterfaceConflict
	by := fmt.Sprintf("element %d", first)
	if first == 0 {
		by = "the pod network"
	}
	r.Message = fmt.Sprintf("annotation %s, element %d, \"interface\": %q is taken by %s", SelectionAnnotation, s.Index, s.IfName, by)
	return r
}

func secondDefault(s Selection, gw netip.Addr, first int) *Refusal {
	message := fmt.Sprintf("%s is a second default route of its family, element %d has one", gw, first)
	if first == s.Index {
		message = fmt.Sprintf("%s is a second gateway of its family, a Pod has one", gw)
	}
	r := badElement(s.Index, "default-route", message, "name one gateway per address family in all of the annotation")
	r.Reason = ReasonBadDefaultRoute
	return r
}
