package control

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tsunagu-net/tsunagu/bgp"
	"github.com/tsunagu-net/tsunagu/vip/lease"
	"github.com/tsunagu-net/tsunagu/vip/proxy"
	"github.com/tsunagu-net/tsunagu/vip/vrrp"
)

// SocketName is the socket's name in the run-time folder.
const SocketName = "vip.sock"

// Status is how a node sees things.
type Status struct {
	// Mode is how the owner is found: lease or vrrp; with table and bgp every node that would serve well is one.
	Mode      string   `json:"mode"`
	Node      string   `json:"node"`
	Addresses []string `json:"addresses"`
	Interface string   `json:"interface"`
	// Owns tells that this node has the addresses, Owner who has them as far as
	// it knows, "" for nobody.
	Owns    bool   `json:"owns"`
	Owner   string `json:"owner"`
	Epoch   uint64 `json:"epoch"`
	Joining bool   `json:"joining,omitempty"`
	Members []Node `json:"members"`
	// Leaving is set during a change of the members.
	Changing bool           `json:"changing,omitempty"`
	LagMS    float64        `json:"lagMilliseconds"`
	Servers  []proxy.Status `json:"servers,omitempty"`
	// Peers are the routers that are told, with mode bgp.
	Peers   []Peer `json:"peers,omitempty"`
	Version string `json:"version"`
}

// Node is a member.
type Node struct {
	Address string `json:"address"`
	Self    bool   `json:"self,omitempty"`
	Ready   bool   `json:"ready"`
	Weight  int    `json:"weight"`
	// SilentMS is how long ago the node was heard, less than 0 for never.
	SilentMS float64 `json:"silentMilliseconds"`
}

// Peer is a router, and the session with it.
type Peer struct {
	Address string `json:"address"`
	AS      uint32 `json:"as"`
	// State is of RFC 4271 §8.2.2: idle, connect, active, opensent, openconfirm, established.
	State string    `json:"state"`
	Since time.Time `json:"since"`
	// Why is what ended the last session.
	Why string `json:"why,omitempty"`
}

// DescribeBGP puts sessions into words.
func DescribeBGP(all []bgp.Session) (peers []Peer) {
	for _, s := range all {
		peers = append(peers, Peer{Address: s.Address.String(), AS: s.AS, State: s.State, Since: s.Since, Why: s.Why})
	}
	return peers
}

// Describe puts the lease's view into words.
func Describe(node netip.Addr, s lease.Status) Status {
	v := Status{Mode: "lease", Node: node.String(), Owns: s.Lease.Held, Owner: string(s.Promised), Epoch: s.Epoch, Joining: s.Joining,
		Changing: len(s.Members.Out) > 0, LagMS: milliseconds(s.Lag), Members: []Node{}}
	if v.Owns {
		v.Owner = v.Node
	}
	for _, id := range s.Members.All() {
		m := Node{Address: string(id), SilentMS: -1}
		if p, ok := s.Peers[id]; ok {
			m.Ready, m.Weight, m.SilentMS = p.Health.Ready, p.Health.Weight, milliseconds(p.Silent)
		}
		if string(id) == v.Node {
			m = Node{Address: v.Node, Self: true, Ready: s.Health.Ready, Weight: s.Health.Weight}
		}
		v.Members = append(v.Members, m)
	}
	slices.SortFunc(v.Members, func(a, b Node) int { return strings.Compare(a.Address, b.Address) })
	return v
}

// DescribeVRRP puts VRRP's view into words: priorities are weights, and backups
// are not heard.
func DescribeVRRP(s vrrp.Status) Status {
	v := Status{Mode: "vrrp", Node: s.Self.String(), Owns: s.Owns, Members: []Node{{Address: s.Self.String(), Self: true, Ready: s.Ready, Weight: int(s.Priority)}}}
	if owner := s.Owner(); owner.IsValid() {
		v.Owner = owner.String()
	}
	for _, h := range s.Heard {
		v.Members = append(v.Members, Node{Address: h.Node.String(), Ready: h.Priority > vrrp.Unready, Weight: int(h.Priority), SilentMS: milliseconds(h.Silent)})
	}
	slices.SortFunc(v.Members, func(a, b Node) int { return strings.Compare(a.Address, b.Address) })
	return v
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
