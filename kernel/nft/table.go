package nft

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"

	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// Table is inet tsunagu in one network namespace. It remembers what it was told, so that it can put everything back that others
// remove. It is safe for concurrent use.
type Table struct {
	ns      *netns.Namespace
	options Options

	mu sync.Mutex
	// wanted are the elements told so far; complete are the sets of which all elements were told. In the others, what an earlier
	// process left is not touched.
	wanted   Contents
	complete map[Set]bool

	// written is set when this process has written the rules.
	written bool
	ports   recentPorts
}

// Open prepares the table of a namespace; nil is the process's own. The kernel is not changed before the first Repair, Replace or
// Change.
func Open(ns *netns.Namespace, o Options) *Table {
	return &Table{ns: ns, options: o, wanted: Contents{}, complete: map[Set]bool{}}
}

// Namespace is where the table is; nil is the process's own.
func (t *Table) Namespace() *netns.Namespace { return t.ns }

// Replace makes the sets of a group have exactly these elements, in one transaction.
func (t *Table) Replace(g Group, c Contents) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	added, removed := Contents{}, Contents{}
	known := true
	for _, s := range g {
		known = known && t.complete[s]
		added[s], removed[s] = subtract(c[s], t.wanted[s]), subtract(t.wanted[s], c[s])
		t.wanted[s] = maps.Clone(c[s])
		t.complete[s] = true
	}
	if !known { // there may be more in the kernel
		_, err := t.repair()
		return err
	}
	return t.change(added, removed)
}

// Change adds and removes elements, in one transaction whose cost does not depend on what else there is. An added element takes the
// place of one with the same key.
func (t *Table) Change(add, remove Contents) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	added, removed := Contents{}, Contents{}
	for s, elements := range remove {
		for e := range elements {
			if _, stays := add[s][e]; !stays {
				removed.add(s, e)
				delete(t.wanted[s], e)
			}
		}
	}
	for s, elements := range add {
		for e := range elements {
			if _, there := t.wanted[s][e]; !there {
				added.add(s, e)
				t.wanted.add(s, e)
			}
		}
	}
	return t.change(added, removed)
}

func subtract(a, b map[Element]struct{}) map[Element]struct{} {
	d := map[Element]struct{}{}
	for e := range a {
		if _, ok := b[e]; !ok {
			d[e] = struct{}{}
		}
	}
	return d
}

// change sends a difference. When the kernel refuses it, somebody else has changed the table, and all of it is compared and mended.
func (t *Table) change(add, remove Contents) error {
	tx, err := t.begin()
	if err != nil {
		return err
	}
	tx.elements(add, remove)
	if tx.commit() == nil {
		return nil
	}
	_, err = t.repair()
	return err
}

// transaction collects messages that the kernel carries out together.
type transaction struct {
	conn  *nftables.Conn
	table *nftables.Table
	sets  map[Set]*nftables.Set
	err   error
}

// bufferSize holds the messages of some thousand elements, and their answers.
const bufferSize = 8 << 20

func (t *Table) begin() (*transaction, error) {
	tx := &transaction{table: &nftables.Table{Name: tableName, Family: nftables.TableFamilyINet}, sets: map[Set]*nftables.Set{}}
	for _, s := range shapes(tx.table) {
		tx.sets[Set(s.Name)] = s
	}
	// A socket for each transaction: after a refused one, answers that nobody waits for are left in it.
	options := []nftables.ConnOption{nftables.WithSockOptions(t.ports.remember, func(c *netlink.Conn) error {
		_ = c.SetWriteBuffer(bufferSize) // best effort: the standard size does for hundreds of elements
		_ = c.SetReadBuffer(bufferSize)
		return nil
	})}
	if t.ns != nil {
		options = append(options, nftables.WithNetNSFd(t.ns.FD()))
	}
	var err error
	if tx.conn, err = nftables.New(options...); err != nil {
		return nil, fmt.Errorf("open nftables socket: %w", err)
	}
	return tx, nil
}

// perMessage bounds the elements of one message, whose attributes have 16 bits for their length.
const perMessage = 400

// elements adds and removes, removing first: what is added may take a key that is freed.
func (tx *transaction) elements(add, remove Contents) {
	tx.each(remove, (*nftables.Conn).SetDeleteElements)
	tx.each(add, (*nftables.Conn).SetAddElements)
}

func (tx *transaction) each(c Contents, do func(*nftables.Conn, *nftables.Set, []nftables.SetElement) error) {
	for _, s := range slices.Sorted(maps.Keys(c)) {
		wires := make([]nftables.SetElement, 0, len(c[s]))
		for _, e := range sorted(c[s]) {
			wires = append(wires, e.wire())
		}
		for part := range slices.Chunk(wires, perMessage) {
			if err := do(tx.conn, tx.sets[s], part); err != nil && tx.err == nil {
				tx.err = fmt.Errorf("encode elements of %s: %w", s, err)
			}
		}
	}
}

// sorted is the order in which the kernel likes intervals, and that reads well.
func sorted(elements map[Element]struct{}) []Element {
	return slices.SortedFunc(maps.Keys(elements), func(a, b Element) int {
		switch {
		case a.key < b.key:
			return -1
		case a.key > b.key:
			return 1
		case a.last && !b.last:
			return -1
		case b.last && !a.last:
			return 1
		}
		return 0
	})
}

func (tx *transaction) commit() error {
	if tx.err != nil {
		return tx.err
	}
	return tx.conn.Flush()
}
