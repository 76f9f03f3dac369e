package kind

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// Unwire removes all interfaces of a sandbox that were made by us, also ones no record speaks of, and what the records say was made
// on the node. A missing namespace or missing interfaces are success. An error means that something is left, and that trying again
// may help.
func (w *Wirer) Unwire(ctx context.Context, nsPath string, records []Record) error {
	return w.unwire(ctx, nsPath, records, w.empty)
}

// Detach removes some interfaces of a sandbox that goes on, as Unwire does with all of them; the others stay as they are. What stands on
// one of them inside the Pod goes with it.
func (w *Wirer) Detach(ctx context.Context, nsPath string, records []Record) error {
	return w.unwire(ctx, nsPath, records, func(nsPath string, node *link.Conn) ([]string, error) { return w.pick(nsPath, node, native(records)) })
}

// unwire takes interfaces out of a namespace, which gives the names that it has seen there, and then what is theirs on the node.
func (w *Wirer) unwire(ctx context.Context, nsPath string, records []Record, empty func(nsPath string, node *link.Conn) ([]string, error)) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("unwire %s: %w", nsPath, context.Cause(ctx))
	}
	if nsPath != "" {
		w.repeaters.hush(nsPath)
	}
	records = native(records)
	node, err := w.borrow()
	if err != nil {
		return err
	}
	defer w.giveIdle(node)
	seen, failed := empty(nsPath, node)
	if err := w.dropEnds(node, records, seen); err != nil {
		failed = errors.Join(failed, err)
	}
	failed = errors.Join(failed, w.unguard(records), w.untie(records), w.unplug(records), w.releaseFunctions(node, records))
	var bridges []string
	for _, r := range records {
		if r.Bridge != "" && !slices.Contains(bridges, r.Bridge) {
			bridges = append(bridges, r.Bridge)
		}
	}
	if len(bridges) > 0 {
		w.bridging.Lock()
		failed = errors.Join(failed, w.dropBridges(node, bridges))
		w.bridging.Unlock()
	}
	if failed != nil {
		return fmt.Errorf("unwire %s: %w", nsPath, failed)
	}
	return nil
}

// unguard forgets the ports that are guarded, or may be: an incomplete record says nothing of it.
func (w *Wirer) unguard(records []Record) error {
	var ports []string
	for _, r := range records {
		if r.ContainerID != "" && (r.Type == "" || r.Port != nil && r.Port.Guarded) {
			ports = append(ports, HostName(r.ContainerID, r.IfName))
		}
	}
	if len(ports) == 0 {
		return nil
	}
	return w.guard.Forget(ports...)
}

// empty takes our interfaces out of a namespace. It returns the names it has seen there.
func (w *Wirer) empty(nsPath string, node *link.Conn) (seen []string, err error) {
	ns, err := w.sandbox(nsPath)
	if _, gone := errors.AsType[NoNamespace](err); gone || nsPath == "" {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	pod, reaper, err := dialTwice(ns)
	if err != nil {
		return nil, err
	}
	defer pod.Close()
	links, err := pod.Links()
	if err != nil {
		reaper.Close()
		return nil, err
	}
	var last link.Link
	for _, l := range links {
		if hostIf, was, ok := takenDevice(l); ok {
			err = errors.Join(err, w.giveBack(pod, node, l, was, hostIf))
			continue
		}
		if l.Group == link.Group {
			seen = append(seen, l.Name)
			last = l
		}
	}
	if last.Index == 0 {
		reaper.Close()
		return nil, err
	}
	return seen, errors.Join(err, w.vanishBy(reaper, link.DeleteGroup(link.Group).Forgiving(), func() bool {
		_, err := pod.ByIndex(last.Index)
		return link.Missing(err)
	}))
}

// pick takes the interfaces of records out of a namespace. It returns the names it has seen there.
func (w *Wirer) pick(nsPath string, node *link.Conn, records []Record) (seen []string, failed error) {
	ns, err := w.sandbox(nsPath)
	if _, gone := errors.AsType[NoNamespace](err); gone || nsPath == "" {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	pod, err := link.Dial(ns)
	if err != nil {
		return nil, err
	}
	defer pod.Close()
	links, err := pod.Links()
	if err != nil {
		return nil, err
	}
	for _, l := range links {
		i := slices.IndexFunc(records, func(r Record) bool { return r.named(l) })
		if i < 0 {
			continue
		}
		if hostIf, was, ok := takenDevice(l); ok {
			failed = errors.Join(failed, w.giveBack(pod, node, l, was, hostIf))
			continue
		}
		if l.Group != link.Group {
			continue
		}
		seen = append(seen, records[i].IfName)
		failed = errors.Join(failed, w.vanish(link.DeleteIndex(l.Name, l.Index).Forgiving(), ns, func() bool {
			_, err := pod.ByIndex(l.Index)
			return link.Missing(err)
		}))
	}
	return seen, failed
}

// named tells whether a link inside the Pod is the record's, perhaps under a name that the Pod gave it.
func (r Record) named(l link.Link) bool {
	return r.IfName == l.Name || HostName(r.ContainerID, r.IfName) == l.Name ||
		r.IfIndex != 0 && r.IfIndex == l.Index && strings.EqualFold(r.MAC, l.MAC.String())
}

// dialTwice opens two sockets in one visit: one to act, one to look.
func dialTwice(ns *netns.Namespace) (a, b *link.Conn, err error) {
	err = ns.Do(func() error {
		if a, err = link.DialHere(); err != nil {
			return err
		}
		if b, err = link.DialHere(); err != nil {
			a.Close()
		}
		return err
	})
	return a, b, err
}

// dropEnds removes ends on the node whose other end was not seen in the Pod: it has gone with its namespace, or is elsewhere.
func (w *Wirer) dropEnds(node *link.Conn, records []Record, seen []string) error {
	var failed error
	for _, r := range records {
		if slices.Contains(seen, r.IfName) || r.ContainerID == "" {
			continue
		}
		end := HostName(r.ContainerID, r.IfName)
		l, err := node.ByName(end)
		if link.Missing(err) {
			continue
		}
		if err == nil {
			if _, was, ok := takenDevice(l); ok {
				err = w.restore(node, end, was)
			} else {
				err = w.vanish(link.DeleteIndex(end, l.Index).Forgiving(), w.node, func() bool {
					_, err := node.ByIndex(l.Index)
					return link.Missing(err)
				})
			}
		}
		failed = errors.Join(failed, err)
	}
	return failed
}
