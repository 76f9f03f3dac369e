package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/tsunagu-net/tsunagu/lab/plan"
)

// state is what a lab remembers between commands, in .lab/<name>/lab.json.
type state struct {
	Options  Options `json:"options"`
	Complete bool    `json:"complete"` // up got to its end once
	Port     int     `json:"port"`     // of the API on the machine's 127.0.0.1
	Programs string  `json:"programs"` // directory of Kubernetes' programs
	CoreDNS  string  `json:"coredns"`
	Archive  string  `json:"archive"` // the lab's own images
	Nodes    []Node  `json:"nodes"`
}

// Node is one node of a lab.
type Node struct {
	Name         string         `json:"name"`
	Index        int            `json:"index"`
	ControlPlane bool           `json:"controlPlane"`
	Addresses    []netip.Prefix `json:"addresses"`
}

// IPs are the node's addresses without their subnet.
func (n Node) IPs() []netip.Addr {
	out := make([]netip.Addr, len(n.Addresses))
	for i, p := range n.Addresses {
		out[i] = p.Addr()
	}
	return out
}

func (s state) node(name string) (Node, bool) {
	i := slices.IndexFunc(s.Nodes, func(n Node) bool { return n.Name == name })
	if i < 0 {
		return Node{}, false
	}
	return s.Nodes[i], true
}

func (s state) controlPlanes() []Node {
	var out []Node
	for _, n := range s.Nodes {
		if n.ControlPlane {
			out = append(out, n)
		}
	}
	return out
}

// newNode numbers a node that joins. nodeN gets number N when that is free, so
// that the address says which node it is; addresses override the plan's.
func (s state) newNode(p plan.Plan, name string, addresses []netip.Addr) (Node, error) {
	free := func(i int) bool {
		return !slices.ContainsFunc(s.Nodes, func(n Node) bool { return n.Index == i })
	}
	index := 0
	if i, err := strconv.Atoi(strings.TrimPrefix(name, "node")); err == nil && i >= 1 && i <= plan.MaxNodes && free(i) {
		index = i
	}
	for i := 1; index == 0 && i <= plan.MaxNodes; i++ {
		if free(i) {
			index = i
		}
	}
	if index == 0 {
		return Node{}, fmt.Errorf("a lab holds %d nodes at most", plan.MaxNodes)
	}
	if name == "" {
		name = fmt.Sprintf("node%d", index)
	}
	if err := plan.CheckName("node", name); err != nil {
		return Node{}, err
	}
	if name == plan.Outside || name == switchName {
		return Node{}, fmt.Errorf("node name %q is taken by the lab itself", name)
	}
	if _, ok := s.node(name); ok {
		return Node{}, fmt.Errorf("node %s is in the lab already", name)
	}
	n := Node{Name: name, Index: index, Addresses: p.Node(index)}
	for _, a := range addresses {
		if err := n.override(a); err != nil {
			return Node{}, err
		}
	}
	for _, other := range s.Nodes {
		for _, a := range other.IPs() {
			if slices.Contains(n.IPs(), a) {
				return Node{}, fmt.Errorf("address %s belongs to %s", a, other.Name)
			}
		}
	}
	return n, nil
}

// override replaces the node's address of the same family.
func (n *Node) override(a netip.Addr) error {
	for i, p := range n.Addresses {
		if p.Addr().Is4() != a.Is4() {
			continue
		}
		if !p.Masked().Contains(a) {
			return fmt.Errorf("address %s is not in the nodes' subnet %s", a, p.Masked())
		}
		n.Addresses[i] = netip.PrefixFrom(a, p.Bits())
		return nil
	}
	return fmt.Errorf("address %s: the lab does not speak that family", a)
}

func readState(dir string) (state, error) {
	var s state
	b, err := os.ReadFile(filepath.Join(dir, "lab.json"))
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("reading %s: %w", filepath.Join(dir, "lab.json"), err)
	}
	return s, nil
}

// save replaces the file in one step: a crash leaves the old or the new one.
func (c *Cluster) save() error {
	b, err := json.MarshalIndent(c.state, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return err
	}
	f := filepath.Join(c.dir, "lab.json")
	if err := os.WriteFile(f+".new", b, 0o600); err != nil {
		return err
	}
	return os.Rename(f+".new", f)
}

func absent(err error) bool { return errors.Is(err, fs.ErrNotExist) }
