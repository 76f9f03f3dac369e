package nft

import (
	"bytes"
	"fmt"
	"net"
	"slices"
	"sync"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// Guard is the table bridge tsunagu of one network namespace: ports of bridges from which frames with one source address come in and
// all others are dropped and counted. It is there while it has a port. It is safe for concurrent use.
type Guard struct {
	// NS is where the table is; nil is the process's own.
	NS *netns.Namespace

	mu sync.Mutex
}

// guardRule identifies the rule by its comment.
const guardRule = "a guarded port sends with its own address only"

// The sets of the table: ports by name, and the pairs of port and address that may pass.
const guardPorts, guardSenders = "ports", "senders"

// Allow lets a port send with this address only, whatever it was allowed before.
func (g *Guard) Allow(port string, mac net.HardwareAddr) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	have, whole, err := g.read()
	if err != nil {
		return fmt.Errorf("guard bridge port %s: %w", port, err)
	}
	if whole && bytes.Equal(have[port], mac) {
		return nil
	}
	tx, err := g.begin()
	if err != nil {
		return err
	}
	tx.structure(whole)
	tx.forget(port, have[port])
	tx.add(port, mac)
	if err := tx.conn.Flush(); err != nil {
		return fmt.Errorf("guard bridge port %s: %w", port, err)
	}
	return nil
}

// Forget lets ports send what they like. When none is left the table goes.
func (g *Guard) Forget(ports ...string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	have, _, err := g.read()
	if err != nil {
		return fmt.Errorf("forget bridge ports %v: %w", ports, err)
	}
	tx, err := g.begin()
	if err != nil {
		return err
	}
	left := len(have)
	for _, port := range ports {
		if mac := have[port]; mac != nil {
			left--
			tx.forget(port, mac)
		}
	}
	switch {
	case left == len(have):
		return nil
	case left == 0:
		tx.conn.DelTable(tx.table)
	}
	if err := tx.conn.Flush(); err != nil {
		return fmt.Errorf("forget bridge ports %v: %w", ports, err)
	}
	return nil
}

// Allowed tells which address each guarded port may send with. One whose rule is missing is not in it.
func (g *Guard) Allowed() (map[string]net.HardwareAddr, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	have, whole, err := g.read()
	if err != nil {
		return nil, fmt.Errorf("list guarded bridge ports: %w", err)
	}
	if !whole {
		return nil, nil
	}
	return have, nil
}

// guarding is one transaction on the table.
type guarding struct {
	conn           *nftables.Conn
	table          *nftables.Table
	chain          *nftables.Chain
	ports, senders *nftables.Set
}

func (g *Guard) begin() (*guarding, error) {
	var options []nftables.ConnOption
	if g.NS != nil {
		options = append(options, nftables.WithNetNSFd(g.NS.FD()))
	}
	conn, err := nftables.New(options...)
	if err != nil {
		return nil, fmt.Errorf("open nftables socket: %w", err)
	}
	t := &nftables.Table{Name: tableName, Family: nftables.TableFamilyBridge}
	return &guarding{
		conn: conn, table: t,
		// Before everything else that a bridge does with a frame, as in the reference plugins.
		chain: &nftables.Chain{Table: t, Name: "spoof-check", Type: nftables.ChainTypeFilter,
			Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityRef(-300)},
		ports: &nftables.Set{Table: t, Name: guardPorts, ID: 1, KeyType: nftables.TypeIFName},
		senders: &nftables.Set{Table: t, Name: guardSenders, ID: 2, Concatenation: true,
			KeyType: nftables.MustConcatSetType(nftables.TypeIFName, nftables.TypeEtherAddr)},
	}, nil
}

// structure makes table, sets and rule; what is there stays.
func (tx *guarding) structure(whole bool) {
	if whole {
		return
	}
	tx.conn.AddTable(tx.table)
	_ = tx.conn.AddSet(tx.ports, nil) // encodes nothing that can fail
	_ = tx.conn.AddSet(tx.senders, nil)
	tx.conn.AddChain(tx.chain)
	tx.conn.FlushChain(tx.chain)
	tx.conn.AddRule(&nftables.Rule{Table: tx.table, Chain: tx.chain, UserData: rule{comment: guardRule}.userData(), Exprs: []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: reg1},
		&expr.Lookup{SourceRegister: reg1, SetName: guardPorts},
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: reg1},
		// ether saddr, behind the 16 bytes of the name
		&expr.Payload{DestRegister: reg4 + 4, Base: expr.PayloadBaseLLHeader, Offset: 6, Len: 6},
		&expr.Lookup{SourceRegister: reg1, SetName: guardSenders, Invert: true},
		&expr.Counter{},
		&expr.Verdict{Kind: expr.VerdictDrop},
	}})
}

// nameBytes is the name of an interface as a key (IFNAMSIZ).
func nameBytes(port string) []byte { return append([]byte(port), make([]byte, 16-len(port))...) }

func (tx *guarding) add(port string, mac net.HardwareAddr) {
	_ = tx.conn.SetAddElements(tx.ports, []nftables.SetElement{{Key: nameBytes(port)}})
	_ = tx.conn.SetAddElements(tx.senders, []nftables.SetElement{{Key: senderBytes(port, mac)}})
}

func (tx *guarding) forget(port string, mac net.HardwareAddr) {
	if mac == nil {
		return
	}
	_ = tx.conn.SetDeleteElements(tx.senders, []nftables.SetElement{{Key: senderBytes(port, mac)}})
	_ = tx.conn.SetDeleteElements(tx.ports, []nftables.SetElement{{Key: nameBytes(port)}})
}

func senderBytes(port string, mac net.HardwareAddr) []byte {
	return slices.Concat(nameBytes(port), mac, []byte{0, 0}) // padded to a register
}

// read lists who may send what, and tells whether rule and sets are there. Ports without a pair are left out: they are blocked.
func (g *Guard) read() (have map[string]net.HardwareAddr, whole bool, err error) {
	tx, err := g.begin()
	if err != nil {
		return nil, false, err
	}
	have = map[string]net.HardwareAddr{}
	tables, err := tx.conn.ListTablesOfFamily(nftables.TableFamilyBridge)
	if err != nil || !slices.ContainsFunc(tables, func(t *nftables.Table) bool { return t.Name == tableName }) {
		return have, false, err
	}
	sets, err := tx.conn.GetSets(tx.table)
	if err != nil || len(sets) != 2 {
		return have, false, err
	}
	elements, err := tx.conn.GetSetElements(tx.senders)
	if err != nil {
		return have, false, err
	}
	for _, e := range elements {
		if len(e.Key) >= 22 {
			have[string(bytes.TrimRight(e.Key[:16], "\x00"))] = bytes.Clone(e.Key[16:22])
		}
	}
	chains, err := tx.conn.ListChainsOfTableFamily(nftables.TableFamilyBridge)
	if err != nil {
		return have, false, err
	}
	for _, c := range chains {
		if c.Table.Name != tableName || c.Name != tx.chain.Name {
			continue
		}
		rules, err := tx.conn.GetRules(tx.table, c)
		if err != nil {
			return have, false, err
		}
		whole = len(rules) == 1 && bytes.Equal(rules[0].UserData, rule{comment: guardRule}.userData())
	}
	return have, whole, nil
}
