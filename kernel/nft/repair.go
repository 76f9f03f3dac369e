package nft

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/google/nftables"
)

// Repair compares the table with what it should be and makes the difference up in one transaction. It tells what was wrong; the first
// time, everything is. Rules are written anew the first time even when they look right, because an earlier version may have written
// them; packets meet the old ones or the new ones, never none.
func (t *Table) Repair() (wrong []string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.repair()
}

func (t *Table) repair() ([]string, error) {
	have, err := t.observe()
	if err != nil {
		return nil, err
	}
	wrong, add, remove := t.compare(have)
	if len(wrong) == 0 {
		return nil, nil
	}
	tx, err := t.begin()
	if err != nil {
		return nil, err
	}
	if !have.structure {
		tx.structure(t.options, have)
	}
	tx.elements(add, remove)
	if err := tx.commit(); err == nil {
		t.written = true
		return wrong, nil
	}
	// Something is in the way that cannot be changed in place, such as a chain of that name at another hook.
	return append(wrong, "all of it"), t.rewrite(have)
}

// compare tells what differs, in words and in elements.
func (t *Table) compare(have *observed) (wrong []string, add, remove Contents) {
	add, remove = Contents{}, Contents{}
	if !have.structure {
		wrong = append(wrong, "rules")
	}
	for s := range have.sets {
		for e := range subtract(t.wanted[s], have.sets[s]) {
			add.add(s, e)
		}
	}
	for s, elements := range have.sets {
		places := map[Element]bool{}
		for e := range t.wanted[s] {
			places[e.place()] = true
		}
		for e := range subtract(elements, t.wanted[s]) {
			if t.complete[s] || places[e.place()] {
				remove.add(s, e)
			}
		}
	}
	for s := range have.sets {
		if n, m := len(add[s]), len(remove[s]); n+m > 0 {
			wrong = append(wrong, fmt.Sprintf("set %s: %d elements missing, %d too many", s, n, m))
		}
	}
	slices.Sort(wrong)
	return wrong, add, remove
}

// structure makes table, sets and chains, and writes all rules. What exists already stays, with its elements; chains and sets of an
// earlier version go.
func (tx *transaction) structure(o Options, have *observed) {
	tx.conn.AddTable(tx.table)
	for _, s := range shapes(tx.table) {
		if err := tx.conn.AddSet(tx.sets[Set(s.Name)], nil); err != nil && tx.err == nil {
			tx.err = fmt.Errorf("encode set %s: %w", s.Name, err)
		}
	}
	all := chains(tx.table, o)
	for i := range all {
		tx.conn.AddChain(&all[i].Chain)
	}
	for i := range all {
		tx.conn.FlushChain(&all[i].Chain)
	}
	for _, c := range have.strangeChains {
		tx.conn.FlushChain(c)
	}
	for i := range all {
		for _, r := range all[i].rules {
			tx.conn.AddRule(&nftables.Rule{Table: tx.table, Chain: &all[i].Chain, Exprs: r.exprs, UserData: r.userData()})
		}
	}
	for _, c := range have.strangeChains {
		tx.conn.DelChain(c)
	}
	for _, s := range have.strangeSets {
		tx.conn.DelSet(s)
	}
}

// rewrite takes the table away and makes it anew, in one transaction. Elements that nobody has told of yet are kept.
func (t *Table) rewrite(have *observed) error {
	tx, err := t.begin()
	if err != nil {
		return err
	}
	if have.exists {
		tx.conn.DelTable(tx.table)
	}
	tx.structure(t.options, &observed{})
	all := Contents{}
	for s := range tx.sets {
		places := map[Element]bool{}
		for e := range t.wanted[s] {
			all.add(s, e)
			places[e.place()] = true
		}
		for e := range have.sets[s] {
			if !t.complete[s] && !places[e.place()] {
				all.add(s, e)
			}
		}
	}
	tx.elements(all, nil)
	if err := tx.commit(); err != nil {
		return fmt.Errorf("write nftables table inet %s: %w", tableName, err)
	}
	t.written = true
	return nil
}

// Remove takes the table away, with host ports and all. One that is gone is fine.
func (t *Table) Remove() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	tx, err := t.begin()
	if err != nil {
		return err
	}
	tx.conn.AddTable(tx.table) // an existing one is as good, and deleting always works then
	tx.conn.DelTable(tx.table)
	if err := tx.commit(); err != nil {
		return fmt.Errorf("delete nftables table inet %s: %w", tableName, err)
	}
	return nil
}

// observed is the table as it is in the kernel.
type observed struct {
	exists bool
	// structure tells that chains and rules are ours and were written by this process.
	structure bool
	// sets has those that exist and are of the right kind. A missing one has an entry too when the structure will be written.
	sets          Contents
	strangeSets   []*nftables.Set
	strangeChains []*nftables.Chain
}

// attempts at a reading during which nobody commits anything, in any table.
const attempts = 20

var errBusy = errors.New("others keep changing tables while it is read")

// observe reads the table: whole, or an error.
func (t *Table) observe() (*observed, error) {
	for range attempts {
		before, err := t.generation()
		if err != nil {
			return nil, err
		}
		have, err := t.read()
		if err != nil {
			return nil, fmt.Errorf("read nftables table inet %s: %w", tableName, err)
		}
		after, err := t.generation()
		if err != nil {
			return nil, err
		}
		if before == after {
			return have, nil
		}
	}
	return nil, fmt.Errorf("read nftables table inet %s: %w", tableName, errBusy)
}

func (t *Table) read() (*observed, error) {
	tx, err := t.begin()
	if err != nil {
		return nil, err
	}
	have := &observed{sets: Contents{}}
	for s := range tx.sets {
		have.sets[s] = map[Element]struct{}{}
	}
	tables, err := tx.conn.ListTablesOfFamily(nftables.TableFamilyINet)
	if err != nil {
		return nil, err
	}
	have.exists = slices.ContainsFunc(tables, func(o *nftables.Table) bool { return o.Name == tableName })
	if !have.exists {
		return have, nil
	}
	complete, err := have.readSets(tx)
	if err != nil {
		return nil, err
	}
	same, err := have.readChains(tx, t.options)
	have.structure = complete && same && t.written
	return have, err
}

// readSets tells whether all are there.
func (o *observed) readSets(tx *transaction) (complete bool, err error) {
	sets, err := tx.conn.GetSets(tx.table)
	if err != nil {
		return false, err
	}
	found := 0
	for _, s := range sets {
		ours, ok := tx.sets[Set(s.Name)]
		if !ok {
			if !s.Anonymous {
				o.strangeSets = append(o.strangeSets, s)
			}
			continue
		}
		found++
		elements, err := tx.conn.GetSetElements(ours)
		if err != nil {
			return false, fmt.Errorf("elements of %s: %w", s.Name, err)
		}
		for _, e := range elements {
			o.sets.add(Set(s.Name), fromWire(e))
		}
	}
	return found == len(tx.sets), nil
}

// readChains tells whether chains and rules are as they should be.
func (o *observed) readChains(tx *transaction, options Options) (same bool, err error) {
	have, err := tx.conn.ListChainsOfTableFamily(nftables.TableFamilyINet)
	if err != nil {
		return false, err
	}
	wanted := map[string]chain{}
	for _, c := range chains(tx.table, options) {
		wanted[c.Name] = c
	}
	same = true
	found := 0
	for _, c := range have {
		if c.Table.Name != tableName {
			continue
		}
		want, ok := wanted[c.Name]
		if !ok {
			o.strangeChains = append(o.strangeChains, &nftables.Chain{Table: tx.table, Name: c.Name})
			same = false
			continue
		}
		found++
		rules, err := tx.conn.GetRules(tx.table, c)
		if err != nil {
			return false, fmt.Errorf("rules of %s: %w", c.Name, err)
		}
		same = same && sameHook(c, &want.Chain) && slices.EqualFunc(rules, want.rules, func(r *nftables.Rule, w rule) bool {
			return bytes.Equal(r.UserData, w.userData())
		})
	}
	return same && found == len(wanted), nil
}

func sameHook(a, b *nftables.Chain) bool {
	if a.Hooknum == nil || b.Hooknum == nil {
		return a.Hooknum == b.Hooknum
	}
	return *a.Hooknum == *b.Hooknum && *a.Priority == *b.Priority
}
