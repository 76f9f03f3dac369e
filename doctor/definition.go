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
	"github.com/tsunagu-net/tsunagu/ipam"
)

// What this tsunagu carries out itself. definition_test.go holds these lists
// against the rooms that do the work.
var (
	mainPlugins    = []string{"bridge", "dummy", "host-device", "ipvlan", "loopback", "macvlan", "ovs", "ptp", "sriov", "tap", "trunk", "vlan"}
	chainedPlugins = []string{"tuning", "sbr", "vrf", "portmap", "bandwidth"}
)

// plugin is what the doctor reads of one plugin's configuration.
type plugin struct {
	Type   string          `json:"type"`
	Master string          `json:"master"`
	Uplink string          `json:"uplink"`
	Device string          `json:"device"`
	Trunk  string          `json:"trunk"`
	VLAN   int             `json:"vlan"`
	IPAM   json.RawMessage `json:"ipam"`
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
func domainOf(p *v1alpha1.IPPool) string { return cmp.Or(p.Spec.Domain, ipam.DefaultDomain) }

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
	config, err := ipam.ParseConfig(plugins[0].IPAM)
	if err != nil || config.Type == ipam.TypeHostLocal { // each node counts for itself
		return network, false
	}
	for _, p := range config.AllPools() {
		return p.Domain, true
	}
	for _, name := range config.AllPoolNames() {
		if p := s.pool(name); p != nil {
			return domainOf(p), true
		}
	}
	return network, false
}

// Description is what a NetworkAttachmentDefinition comes to, for people.
type Description struct {
	Kind      string // type of the plugin that makes the interface
	Interface string // of the node that is on the segment
	Subnets   []string
	Pools     []string // IPPools by name
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
	if first.Trunk != "" {
		about.Interface = fmt.Sprintf("%s.%d", first.Trunk, first.VLAN)
	}
	config, err := ipam.ParseConfig(first.IPAM)
	if err != nil {
		return about, err
	}
	about.Pools = config.AllPoolNames()
	for _, p := range config.AllPools() {
		about.Subnets = append(about.Subnets, p.Prefix.String())
	}
	for _, a := range config.Static {
		about.Subnets = append(about.Subnets, a.Prefix.String())
	}
	return about, nil
}
