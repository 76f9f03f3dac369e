package attach

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/tsunagu-net/tsunagu/attach/delegate"
	"github.com/tsunagu-net/tsunagu/attach/kind"
	"github.com/tsunagu-net/tsunagu/ipam"
)

// ReasonCountedTwice is the reason of the Event that says that a Pod that runs and another one have an address that each of their nodes
// gave, when both nodes begin to count together.
const ReasonCountedTwice = "AddressCountedTwice"

// recounter has the addresses of Pods that run counted where their network's are counted now: a definition of type host-local may have
// been annotated, or the agent that attached them counted elsewhere.
type recounter struct {
	server *Server
	mu     sync.Mutex
	// done are interfaces that are counted in a domain, twice those whose Pods were told that another has the address too.
	done, twice map[ipam.Key]string
}

func newRecounter(s *Server) *recounter {
	return &recounter{server: s, done: map[ipam.Key]string{}, twice: map[ipam.Key]string{}}
}

// sweep looks at all networks of Pods that run. A network that cannot be read now is looked at again.
func (c *recounter) sweep(ctx context.Context) error {
	used := map[string]bool{}
	for _, record := range c.server.records.list() {
		if record.State != Wired {
			continue
		}
		for _, w := range record.Interfaces {
			used[w.Network] = used[w.Network] || !w.Foreign && len(w.Addresses) > 0
		}
	}
	var errs []error
	for ref, own := range used {
		namespace, name, ok := strings.Cut(ref, "/")
		if !ok || !own {
			continue
		}
		d, err := c.server.Definitions.Definition(ctx, namespace, name)
		if err == nil {
			err = c.server.planner.fromDisk(&d)
		}
		if err != nil {
			continue
		}
		if n, err := parseDefinition(d, delegate.Asked{}); err == nil {
			errs = append(errs, c.network(ctx, n))
		}
	}
	c.forget()
	return errors.Join(errs...)
}

// plan looks at the networks of a Pod that is about to get addresses, so that it gets none that another Pod of this node has.
func (c *recounter) plan(ctx context.Context, plan []planned) error {
	for _, one := range plan {
		if err := c.network(ctx, one.net); err != nil {
			return fmt.Errorf("%s: %w", one.where(), err)
		}
	}
	return nil
}

func (c *recounter) network(ctx context.Context, n Network) error {
	if n.IPAM.Type != ipam.TypeHostLocal || n.Foreign() {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, record := range c.server.records.list() {
		if record.State != Wired {
			continue
		}
		for _, w := range record.Interfaces {
			if w.Network != n.Ref || w.Foreign {
				continue
			}
			if err := c.one(ctx, record, w, n); err != nil {
				return err
			}
		}
	}
	return nil
}

// one has the addresses of an interface counted. What lies outside of the ranges of today nobody else can get.
func (c *recounter) one(ctx context.Context, record Record, w kind.Wired, n Network) error {
	key, domain := ipam.Key{ContainerID: record.ContainerID, IfName: w.IfName}, n.IPAM.Pools[0][0].Domain
	if c.done[key] == domain {
		return nil
	}
	release, ok := c.server.sandboxes.try(record.ContainerID)
	if !ok {
		return nil // it goes, or is about to be made anew
	}
	defer release()
	if now, ok := c.server.records.get(record.ContainerID); !ok || now.State != Wired {
		return nil
	}
	if wants := recounted(n, w); len(wants) > 0 {
		owner := ipam.Owner{Key: key, Namespace: record.Namespace, Pod: record.Pod, UID: record.UID, Network: n.Ref}
		err := c.server.Addresses.Recount(ctx, owner, wants)
		switch reason := ipam.ReasonOf(err); {
		case err == nil:
		case reason == ipam.Unavailable || ctx.Err() != nil:
			return fmt.Errorf("count the addresses of Pod %s/%s where network %s counts now: %w", record.Namespace, record.Pod, n.Ref, err)
		default:
			if c.twice[key] != domain {
				c.server.Events.Warn(record.pod(), ReasonCountedTwice, countedTwiceNote(n.Ref, refused(err)))
			}
			c.twice[key] = domain
			return nil // one of the two Pods goes sometime, and then it is counted
		}
	}
	c.done[key] = domain
	delete(c.twice, key)
	return nil
}

// recounted are the addresses of an interface that a network gives out today.
func recounted(n Network, w kind.Wired) (wants []ipam.Want) {
	pools := slices.Concat(n.IPAM.Pools...)
	for _, a := range w.Addresses {
		i := slices.IndexFunc(pools, func(p ipam.Pool) bool { return p.Contains(a.Prefix.Addr()) })
		if i >= 0 {
			wants = append(wants, ipam.Want{Pool: pools[i], Static: a.Prefix.Addr()})
		}
	}
	return wants
}

func countedTwiceNote(network string, r *Refusal) string {
	return fmt.Sprintf("network-attachment-definition %s: %s; it was given before the nodes counted together. To fix: delete this Pod or the other one", network, r.Message)
}

// forget drops interfaces that are gone.
func (c *recounter) forget() {
	have := map[ipam.Key]bool{}
	for _, record := range c.server.records.list() {
		for _, w := range record.Interfaces {
			have[ipam.Key{ContainerID: record.ContainerID, IfName: w.IfName}] = record.State == Wired
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, known := range []map[ipam.Key]string{c.done, c.twice} {
		for key := range known {
			if !have[key] {
				delete(known, key)
			}
		}
	}
}
