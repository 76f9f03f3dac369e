package hostport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"github.com/tsunagu-net/tsunagu/kernel/nft"
	"github.com/tsunagu-net/tsunagu/kernel/route"
)

// Table knows what every sandbox on the node has. It is safe for concurrent use.
type Table struct {
	nft *nft.Table
	log *slog.Logger

	mu      sync.Mutex
	entries map[string]entry
	holders map[key][]string // IDs of sandboxes with claims there
}

// entry is a sandbox with what came of it.
type entry struct {
	Sandbox
	claims   []claim
	contents nft.Contents
}

// New makes an empty table. What an earlier process left in the kernel stays until Sync.
func New(table *nft.Table, log *slog.Logger) *Table {
	return &Table{nft: table, log: log, entries: map[string]entry{}, holders: map[key][]string{}}
}

// Set makes a sandbox have exactly this, whatever it had before. The error is a Conflict when another one holds a port; nothing has
// changed then.
func (t *Table) Set(_ context.Context, s Sandbox) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	claims, idle, err := s.claims()
	if err != nil {
		return err
	}
	for _, c := range claims {
		if err := t.conflict(s.ID, c); err != nil {
			return err
		}
	}
	for _, m := range idle {
		t.log.Warn("a host port leads nowhere: the Pod has no address of its family", "port", m, "pod", s.Name)
	}
	return t.put(entry{s, claims, s.contents(claims)})
}

// Delete takes all from a sandbox. One that has nothing is fine.
func (t *Table) Delete(_ context.Context, id string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.entries[id]; !ok {
		return nil
	}
	return t.put(entry{Sandbox: Sandbox{ID: id}})
}

// Sync makes the table hold exactly these sandboxes, and is called once after a start with all that exist. When two of them claim one
// port the first in the list has it; the others are in the error, joined, and everything else is done.
func (t *Table) Sync(_ context.Context, all []Sandbox) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.entries, t.holders = map[string]entry{}, map[key][]string{}
	var refused []error
	whole := nft.Contents{}
	for _, s := range all {
		claims, _, err := s.claims()
		if err != nil {
			refused = append(refused, err)
		}
		claims = slices.DeleteFunc(claims, func(c claim) bool {
			err := t.conflict(s.ID, c)
			if err != nil {
				refused = append(refused, err)
			}
			return err != nil
		})
		e := entry{s, claims, s.contents(claims)}
		t.keep(e)
		for set, elements := range e.contents {
			if whole[set] == nil {
				whole[set] = maps.Clone(elements)
				continue
			}
			maps.Copy(whole[set], elements)
		}
		t.openLoopback(e)
	}
	if err := t.nft.Replace(nft.PortSets, whole); err != nil {
		refused = append(refused, fmt.Errorf("write host ports of %d sandboxes: %w", len(all), err))
	}
	return errors.Join(refused...)
}

// conflict finds another sandbox in the way.
func (t *Table) conflict(id string, c claim) error {
	for _, holder := range t.holders[c.key()] {
		if holder == id {
			continue
		}
		e := t.entries[holder]
		for _, o := range e.claims {
			if o.meets(c) {
				return Conflict{Mapping: c.mapping, Holder: e.Name, HolderID: e.ID}
			}
		}
	}
	return nil
}

// put brings a sandbox from what it was to what it shall be, in one transaction. On an error it stays as it was.
func (t *Table) put(e entry) error {
	before := t.entries[e.ID]
	if err := t.nft.Change(e.contents, t.alone(before)); err != nil {
		_ = t.nft.Change(before.contents, t.alone(e)) // or the table would go on trying
		return fmt.Errorf("write host ports of Pod %s: %w", e.Name, err)
	}
	t.keep(e)
	t.openLoopback(e)
	t.forgetFlows(before.claims, e.claims)
	return nil
}

// alone are the elements that no other sandbox has: an address may have a new Pod before its old one is deleted.
func (t *Table) alone(e entry) nft.Contents {
	c := nft.Contents{}
	for set, elements := range e.contents {
		c[set] = maps.Clone(elements)
		for id, other := range t.entries {
			if id != e.ID {
				maps.DeleteFunc(c[set], func(one nft.Element, _ struct{}) bool { _, shared := other.contents[set][one]; return shared })
			}
		}
	}
	return c
}

// keep remembers a sandbox in place of what it was.
func (t *Table) keep(e entry) {
	for _, c := range t.entries[e.ID].claims {
		k := c.key()
		t.holders[k] = slices.DeleteFunc(t.holders[k], func(id string) bool { return id == e.ID })
		if len(t.holders[k]) == 0 {
			delete(t.holders, k)
		}
	}
	delete(t.entries, e.ID)
	if len(e.contents) == 0 {
		return
	}
	t.entries[e.ID] = e
	for _, c := range e.claims {
		if k := c.key(); !slices.Contains(t.holders[k], e.ID) {
			t.holders[k] = append(t.holders[k], e.ID)
		}
	}
}

// openLoopback lets replies to 127.0.0.1 in from the Pod. The table drops everything else that comes from Pods for 127.0.0.0/8, before
// translation turns replies into such packets.
func (t *Table) openLoopback(e entry) {
	four := slices.ContainsFunc(e.claims, func(c claim) bool { return c.at.Addr().Is4() })
	if !four || e.HostIf == "" {
		return
	}
	path := "ipv4/conf/" + e.HostIf + "/route_localnet"
	if err := route.SysctlsOf(t.nft.Namespace()).Write(path, "1"); err != nil {
		t.log.Warn("127.0.0.1 of the node does not lead to the Pod's host ports", "pod", e.Name, "err", err)
	}
}

// forgetFlows ends UDP flows that know an older way: connection tracking would keep sending them there as long as they go on. TCP
// ends by itself, by a reset or a timeout of the sender.
func (t *Table) forgetFlows(before, after []claim) {
	gone, fresh := udp(before, after), udp(after, before)
	if len(gone)+len(fresh) == 0 {
		return
	}
	local, err := t.nft.LocalAddresses()
	if err == nil {
		_, err = t.nft.DeleteFlows(func(f nft.Flow) bool {
			if Protocol(f.Protocol) != UDP {
				return false
			}
			for _, c := range gone {
				if f.ReplyFrom == c.to && f.To.Port() == c.at.Port() && f.To != c.to {
					return true
				}
			}
			for _, c := range fresh {
				at := c.at.Addr()
				if f.To.Port() == c.at.Port() && f.ReplyFrom != c.to && at.Is6() == f.To.Addr().Is6() &&
					(f.To.Addr() == at || at.IsUnspecified() && local[f.To.Addr()]) {
					return true
				}
			}
			return false
		})
	}
	if err != nil {
		t.log.Warn("UDP flows that began before a host port changed may go on as they were", "err", err)
	}
}

// udp are the claims for UDP that are in one list only.
func udp(in, notIn []claim) (some []claim) {
	for _, c := range in {
		if c.protocol == UDP && !slices.Contains(notIn, c) {
			some = append(some, c)
		}
	}
	return some
}
