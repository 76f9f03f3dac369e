package nft

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"

	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// Forward is a port of the node that leads to one of a Pod, with its own rules: unlike those of Table it can have conditions.
type Forward struct {
	// At is the port; an unspecified address is all of the family.
	At       netip.AddrPort
	Protocol uint8
	To       netip.AddrPort
	// Mark is the bit that packets get whose source is hidden behind the node's; 0 when none is. Near are sources that are hidden: with a
	// source among the Pod's neighbours the answer would go past the node. Local hides 127.0.0.1, All everybody.
	Mark       uint32
	Near       netip.Prefix
	Local, All bool
	// Conditions must all be true.
	Conditions []Condition
}

// Condition is something about a packet; one of its fields is set.
type Condition struct {
	Not                 bool
	Source, Destination netip.Prefix
	// Enters is the name of the interface.
	Enters string
}

// text is the port as the comments of its rules have it.
func (f Forward) text() string {
	conditional := ""
	if len(f.Conditions) > 0 {
		conditional = "?"
	}
	return fmt.Sprintf("%s/%d%s", f.At, f.Protocol, conditional)
}

// Taken tells that a port leads elsewhere already.
type Taken struct {
	At       netip.AddrPort
	Protocol uint8
	// Holder is the key of who has it.
	Holder string
}

func (e Taken) Error() string {
	return fmt.Sprintf("port %s of protocol %d belongs to %s", e.At, e.Protocol, e.Holder)
}

// Forwards is the table inet tsunagu-forward of one network namespace. The kernel alone knows what is in it: rules carry in their comment
// whose they are. It is safe for concurrent use.
type Forwards struct {
	// NS is where the table is; nil is the process's own.
	NS *netns.Namespace

	mu sync.Mutex
}

const forwardTable = "tsunagu-forward"

// forwarding is one transaction on the table.
type forwarding struct {
	conn                                     *nftables.Conn
	table                                    *nftables.Table
	ports, incoming, outgoing, hiding, guard *nftables.Chain
}

// Set makes a key have exactly these ports. Replies to 127.0.0.1 are let in by the devices, and nothing else for it. The error is Taken
// when another key has a port.
func (f *Forwards) Set(key string, ports []Forward, devices []string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	tx, have, err := f.begin()
	if err != nil {
		return err
	}
	for _, p := range ports {
		if err := taken(key, p, have); err != nil {
			return err
		}
	}
	tx.structure(have)
	tx.forget(key, have)
	for _, p := range ports {
		tx.add(key, p)
	}
	for _, d := range devices {
		for _, side := range []func(netip.Prefix, bool) []expr.Any{source, destination} {
			tx.rule(tx.guard, key+" 127.0.0.0/8 by "+d, join(family(false), entersBy(d+"\x00"), side(loopback, true), drop()))
		}
	}
	if err := tx.conn.Flush(); err != nil {
		return fmt.Errorf("write forwarded ports of %s: %w", key, err)
	}
	return nil
}

// Delete takes everything from a key. One that has nothing is fine.
func (f *Forwards) Delete(key string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	tx, have, err := f.begin()
	if err != nil {
		return err
	}
	left := tx.forget(key, have)
	if len(have) == 0 {
		return nil
	}
	if left == 0 {
		tx.conn.DelTable(tx.table)
	}
	if err := tx.conn.Flush(); err != nil {
		return fmt.Errorf("delete forwarded ports of %s: %w", key, err)
	}
	return nil
}

// Ports lists the ports of a key, in the words of their rules, with how many rules each has.
func (f *Forwards) Ports(key string) (map[string]int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, have, err := f.begin()
	all := map[string]int{}
	for _, r := range have {
		if whose, what := comment(r); whose == key {
			all[what]++
		}
	}
	return all, err
}

// Within tells whether all rules of a port are among those that Ports lists.
func (f Forward) Within(have map[string]int) bool {
	want := 1 + len(f.sources())
	if f.Mark != 0 {
		want++
	}
	return have[f.text()] >= want
}

// begin reads what is there.
func (f *Forwards) begin() (tx *forwarding, have []*nftables.Rule, err error) {
	var options []nftables.ConnOption
	if f.NS != nil {
		options = append(options, nftables.WithNetNSFd(f.NS.FD()))
	}
	conn, err := nftables.New(options...)
	if err != nil {
		return nil, nil, fmt.Errorf("open nftables socket: %w", err)
	}
	t := &nftables.Table{Name: forwardTable, Family: nftables.TableFamilyINet}
	base := func(name string, kind nftables.ChainType, hook *nftables.ChainHook, priority *nftables.ChainPriority) *nftables.Chain {
		return &nftables.Chain{Table: t, Name: name, Type: kind, Hooknum: hook, Priority: priority}
	}
	tx = &forwarding{conn: conn, table: t, ports: &nftables.Chain{Table: t, Name: "ports"},
		incoming: base("dnat-prerouting", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest),
		outgoing: base("dnat-output", nftables.ChainTypeNAT, nftables.ChainHookOutput, nftables.ChainPriorityNATDest),
		hiding:   base("snat-postrouting", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, nftables.ChainPriorityRef(*nftables.ChainPriorityNATSource-1)),
		guard:    base("raw-prerouting", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, nftables.ChainPriorityRaw)}
	for _, c := range tx.chains() {
		rules, err := conn.GetRules(t, c)
		if errors.Is(err, unix.ENOENT) {
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("list forwarded ports: %w", err)
		}
		for _, r := range rules {
			r.Chain = c
			have = append(have, r)
		}
	}
	return tx, have, nil
}

func (tx *forwarding) chains() []*nftables.Chain {
	return []*nftables.Chain{tx.ports, tx.incoming, tx.outgoing, tx.hiding, tx.guard}
}

// comment is whose a rule is, and what for; the structure's own is nobody's.
func comment(r *nftables.Rule) (key, what string) {
	text, _ := userdata.GetString(r.UserData, userdata.TypeComment)
	key, what, ok := strings.Cut(text, " ")
	if !ok {
		return "", text
	}
	return key, what
}

// toPorts identifies the rules that lead to the ports.
const toPorts = "ports"

// structure makes table and chains; what is there stays.
func (tx *forwarding) structure(have []*nftables.Rule) {
	tx.conn.AddTable(tx.table)
	for _, c := range tx.chains() {
		tx.conn.AddChain(c)
	}
	for _, c := range []*nftables.Chain{tx.incoming, tx.outgoing} {
		if !slices.ContainsFunc(have, func(r *nftables.Rule) bool { _, what := comment(r); return r.Chain == c && what == toPorts }) {
			tx.rule(c, toPorts, join(toLocal(), jump(tx.ports.Name)))
		}
	}
}

func (tx *forwarding) rule(c *nftables.Chain, text string, exprs []expr.Any) {
	tx.conn.AddRule(&nftables.Rule{Table: tx.table, Chain: c, UserData: rule{comment: text}.userData(), Exprs: exprs})
}

// forget removes the rules of a key; it tells how many of others there are.
func (tx *forwarding) forget(key string, have []*nftables.Rule) (left int) {
	for _, r := range have {
		switch whose, _ := comment(r); whose {
		case key:
			_ = tx.conn.DelRule(r) // only fails without a handle
		case "":
		default:
			left++
		}
	}
	return left
}

// sources are those that are hidden.
func (f Forward) sources() (all [][]expr.Any) {
	switch {
	case f.Mark == 0:
		return nil
	case f.All:
		return [][]expr.Any{nil}
	}
	all = append(all, source(f.Near, true))
	if f.Local {
		all = append(all, source(netip.MustParsePrefix("127.0.0.1/32"), true))
	}
	return all
}

// add writes the rules of one port: marks first, then the translation.
func (tx *forwarding) add(key string, f Forward) {
	v6 := f.To.Addr().Is6()
	port := f.At.Port()
	match := join(family(v6), f.conditions())
	if !f.At.Addr().IsUnspecified() {
		match = join(match, destination(netip.PrefixFrom(f.At.Addr(), f.At.Addr().BitLen()), true))
	}
	match = join(match, []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg1}, equal(f.Protocol),
		&expr.Payload{DestRegister: reg1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2}, equal(byte(port>>8), byte(port)),
	})
	text := key + " " + f.text()
	for _, from := range f.sources() {
		tx.rule(tx.ports, text, join(match, from, mark(f.Mark)))
	}
	tx.rule(tx.ports, text, join(match, []expr.Any{
		&expr.Immediate{Register: reg1, Data: f.To.Addr().AsSlice()},
		&expr.Immediate{Register: unix.NFT_REG_2, Data: binaryutil.BigEndian.PutUint16(f.To.Port())},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: uint32(protocolNumber(v6)), RegAddrMin: reg1, RegProtoMin: unix.NFT_REG_2},
	}))
	if f.Mark != 0 {
		tx.rule(tx.hiding, text, join(family(v6), destination(netip.PrefixFrom(f.To.Addr(), f.To.Addr().BitLen()), true), marked(f.Mark), masquerade()))
	}
}

func (f Forward) conditions() (all []expr.Any) {
	for _, c := range f.Conditions {
		switch {
		case c.Source.IsValid():
			all = join(all, source(c.Source, !c.Not))
		case c.Destination.IsValid():
			all = join(all, destination(c.Destination, !c.Not))
		default:
			op := expr.CmpOpEq
			if c.Not {
				op = expr.CmpOpNeq
			}
			name, wild := strings.CutSuffix(c.Enters, "+")
			data := []byte(name)
			if !wild {
				data = append(data, 0)
			}
			all = append(all, &expr.Meta{Key: expr.MetaKeyIIFNAME, Register: reg1}, &expr.Cmp{Op: op, Register: reg1, Data: data})
		}
	}
	return all
}

// mark is "meta mark set meta mark or bit".
func mark(bit uint32) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyMARK, Register: reg1},
		&expr.Bitwise{SourceRegister: reg1, DestRegister: reg1, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(^bit), Xor: binaryutil.NativeEndian.PutUint32(bit)},
		&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: reg1},
	}
}

// marked is "meta mark & bit == bit".
func marked(bit uint32) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyMARK, Register: reg1},
		&expr.Bitwise{SourceRegister: reg1, DestRegister: reg1, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(bit), Xor: make([]byte, 4)},
		equal(binaryutil.NativeEndian.PutUint32(bit)...),
	}
}

// taken finds another key with the port. Ports with conditions may meet.
func taken(key string, f Forward, have []*nftables.Rule) error {
	for _, r := range have {
		whose, what := comment(r)
		text, protocol, _ := strings.Cut(what, "/")
		at, err := netip.ParseAddrPort(text)
		if err != nil || whose == key || len(f.Conditions) > 0 || protocol != fmt.Sprint(f.Protocol) || at.Port() != f.At.Port() || at.Addr().Is6() != f.At.Addr().Is6() {
			continue
		}
		if at.Addr() == f.At.Addr() || at.Addr().IsUnspecified() || f.At.Addr().IsUnspecified() {
			return Taken{f.At, f.Protocol, whose}
		}
	}
	return nil
}
