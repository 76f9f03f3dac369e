package nft

import (
	"github.com/google/nftables"
)

// tableName is the table's, in the family inet.
const tableName = "tsunagu"

// Options decide what the rules look like.
type Options struct {
	// TunnelPort is the UDP port of encapsulated packets: only nodes may send to it. 0 when nothing is encapsulated.
	TunnelPort uint16
}

// Set names a set or a map. Those that hold addresses come in pairs, one per family.
type Set string

const (
	nodes4, nodes6 Set = "nodes4", "nodes6" // addresses of nodes: who may encapsulate
	pods4, pods6   Set = "pods4", "pods6"   // prefixes of Pods of all nodes: whom Pods meet with their own address
	own4, own6     Set = "own4", "own6"     // prefixes of this node's Pods, when they are masqueraded
	ports4, ports6 Set = "ports4", "ports6" // address, protocol and port of this node → address and port of a Pod
	any4, any6     Set = "any4", "any6"     // the same for ports of all addresses of the node

	hairpin4, hairpin6 Set = "hairpin4", "hairpin6" // address pairs of Pods that have ports: a Pod that reaches itself
	hidden4, hidden6   Set = "hidden4", "hidden6"   // addresses on secondary networks that are masqueraded …
	near4, near6       Set = "near4", "near6"       // … except towards their own subnet
)

// Group is the sets that one room owns.
type Group []Set

var (
	// ReachSets are about nodes and Pods of the cluster.
	ReachSets = Group{nodes4, nodes6, pods4, pods6, own4, own6}
	// PortSets are about single Pods of this node.
	PortSets = Group{ports4, ports6, any4, any6, hairpin4, hairpin6, hidden4, hidden6, near4, near6}
)

// pick chooses from a pair.
func pick(v6 bool, four, six Set) Set {
	if v6 {
		return six
	}
	return four
}

// shapes are the sets as the kernel knows them, without elements, in the order in which they are made.
func shapes(t *nftables.Table) []*nftables.Set {
	var all []*nftables.Set
	add := func(name Set, s nftables.Set) {
		s.Table, s.Name, s.ID = t, string(name), uint32(len(all)+1)
		all = append(all, &s)
	}
	for _, v6 := range []bool{false, true} {
		address := nftables.TypeIPAddr
		if v6 {
			address = nftables.TypeIP6Addr
		}
		concat := nftables.MustConcatSetType
		endpoint := concat(address, nftables.TypeInetService)
		add(pick(v6, nodes4, nodes6), nftables.Set{KeyType: address})
		add(pick(v6, pods4, pods6), nftables.Set{KeyType: address, Interval: true})
		add(pick(v6, own4, own6), nftables.Set{KeyType: address, Interval: true})
		add(pick(v6, ports4, ports6), nftables.Set{
			KeyType: concat(address, nftables.TypeInetProto, nftables.TypeInetService), Concatenation: true, IsMap: true, DataType: endpoint,
		})
		add(pick(v6, any4, any6), nftables.Set{
			KeyType: concat(nftables.TypeInetProto, nftables.TypeInetService), Concatenation: true, IsMap: true, DataType: endpoint,
		})
		add(pick(v6, hairpin4, hairpin6), nftables.Set{KeyType: concat(address, address), Concatenation: true})
		add(pick(v6, hidden4, hidden6), nftables.Set{KeyType: address})
		add(pick(v6, near4, near6), nftables.Set{KeyType: concat(address, address), Concatenation: true, Interval: true})
	}
	return all
}
