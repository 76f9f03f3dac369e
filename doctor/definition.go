package doctor

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

// What this tsunagu carries out itself. definition_test.go holds these lists
// against the rooms that do the work.
var (
	mainPlugins    = []string{"bridge", "host-device", "loopback", "macvlan", "pod", "ptp"}
	chainedPlugins = []string{"tuning"}
	ipamTypes      = []string{"static", "tsunagu", "whereabouts"}
)

// plugin is what the doctor reads of one plugin's configuration.
type plugin struct {
	Type   string `json:"type"`
	Master string `json:"master"`
	Uplink string `json:"uplink"`
	Device string `json:"device"`
	IPAM   struct {
		Type        string   `json:"type"`
		Pools       []string `json:"pools"`
		NetworkName string   `json:"network_name"`
		Range       string   `json:"range"`
		Ranges      []struct {
			Range string `json:"range"`
		} `json:"ipRanges"`
		Addresses []struct {
			Address string `json:"address"`
		} `json:"addresses"`
	} `json:"ipam"`
}

// parsePlugins reads the configuration of a NetworkAttachmentDefinition: one
// plugin or a list. Errors say where in the text.
func parsePlugins(config string) ([]plugin, error) {
	if strings.TrimSpace(config) == "" {
		return nil, errors.New("spec.config is empty; configurations in files of the nodes are not read")
	}
	var conf struct {
		plugin
		Plugins []plugin `json:"plugins"`
	}
	if err := json.Unmarshal([]byte(config), &conf); err != nil {
		return nil, locate(config, err)
	}
	if conf.Plugins == nil {
		return []plugin{conf.plugin}, nil
	}
	if len(conf.Plugins) == 0 {
		return nil, errors.New(`"plugins" is an empty list`)
	}
	return conf.Plugins, nil
}

// locate adds line and column to an error of encoding/json.
func locate(text string, err error) error {
	var syntax *json.SyntaxError
	var mismatch *json.UnmarshalTypeError
	offset := int64(0)
	switch {
	case errors.As(err, &syntax):
		offset = syntax.Offset
	case errors.As(err, &mismatch):
		offset = mismatch.Offset
		err = fmt.Errorf("%q is a %s, not what belongs there", mismatch.Field, mismatch.Value)
	default:
		return err
	}
	before := []byte(text)[:min(max(offset-1, 0), int64(len(text)))]
	line := bytes.Count(before, []byte{'\n'}) + 1
	column := len(before) - bytes.LastIndexByte(before, '\n')
	return fmt.Errorf("line %d, column %d: %w", line, column, err)
}

func definitionObject(d *nadv1.NetworkAttachmentDefinition) Object {
	return Object{"NetworkAttachmentDefinition", d.Namespace, d.Name}
}

// definition finds a NetworkAttachmentDefinition, nil if there is none.
func (s *Snapshot) definition(namespace, name string) *nadv1.NetworkAttachmentDefinition {
	for i, d := range s.Definitions {
		if d.Namespace == namespace && d.Name == name {
			return &s.Definitions[i]
		}
	}
	return nil
}

func (s *Snapshot) pool(name string) *v1alpha1.IPPool {
	i := slices.IndexFunc(s.Pools, func(p v1alpha1.IPPool) bool { return p.Name == name })
	if i < 0 {
		return nil
	}
	return &s.Pools[i]
}

// domainOf is the address domain of a pool.
func domainOf(p *v1alpha1.IPPool) string {
	if p.Spec.Domain == "" {
		return "default"
	}
	return p.Spec.Domain
}

// PodDomain is the address domain of the pod network, the Pods' first
// interface.
const PodDomain = "pods"

// Domain is the space in which the addresses of a network are unique. The
// network is named as in network-status, namespace/name; managed is false when
// nobody hands out its addresses and somebody wrote them down instead.
func (s *Snapshot) Domain(network string) (domain string, managed bool) {
	namespace, name, ok := strings.Cut(network, "/")
	d := s.definition(namespace, name)
	if !ok || d == nil {
		return network, false
	}
	if made := d.Labels[v1alpha1.NetworkLabel]; made != "" {
		return made, true
	}
	plugins, err := parsePlugins(d.Spec.Config)
	if err != nil {
		return network, false
	}
	ipam := plugins[0].IPAM
	for _, name := range ipam.Pools {
		if p := s.pool(name); p != nil {
			return domainOf(p), true
		}
	}
	switch {
	case ipam.Type != "tsunagu" && ipam.Type != "whereabouts":
		return network, false
	case ipam.NetworkName != "":
		return ipam.NetworkName, true
	}
	return "default", true
}

// Description is what a NetworkAttachmentDefinition comes to, for people.
type Description struct {
	Kind      string // type of the plugin that makes the interface
	Interface string // of the node that is on the segment
	Subnets   []string
}

// DescribeDefinition reads a NetworkAttachmentDefinition. Errors say where in
// the text.
func DescribeDefinition(d *nadv1.NetworkAttachmentDefinition) (Description, error) {
	plugins, err := parsePlugins(d.Spec.Config)
	if err != nil {
		return Description{}, err
	}
	first := plugins[0]
	about := Description{Kind: first.Type, Interface: cmp.Or(first.Master, first.Uplink, first.Device), Subnets: []string{}}
	about.Subnets = append(about.Subnets, first.IPAM.Pools...)
	if first.IPAM.Range != "" {
		about.Subnets = append(about.Subnets, first.IPAM.Range)
	}
	for _, r := range first.IPAM.Ranges {
		about.Subnets = append(about.Subnets, r.Range)
	}
	for _, a := range first.IPAM.Addresses {
		about.Subnets = append(about.Subnets, a.Address)
	}
	return about, nil
}
