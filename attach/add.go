package attach

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tsunagu-net/tsunagu/attach/kind"
	"github.com/tsunagu-net/tsunagu/attach/shimrpc"
	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// add attaches a Pod: find it, plan, take addresses, wire, reply. From the moment something may have been made there is a record of it
// in the log, so that a crash at any instruction leaves nothing that nobody knows of. An error means that all of it was undone, or that
// the sweep goes on undoing it.
func (s *Server) add(ctx context.Context, r *request) ([]byte, error) {
	began := time.Now()
	release, err := s.sandboxes.take(ctx, r.ContainerID)
	if err != nil {
		return nil, err
	}
	defer release()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.sandboxes.interruptible(r.ContainerID, cancel)
	defer s.sandboxes.interruptible(r.ContainerID, nil)

	if old, ok := s.records.get(r.ContainerID); ok && old.State == Gone && r.Started != 0 && r.Started < old.Deleted {
		return nil, &Refusal{Reason: ReasonDeleted, Message: "the sandbox was deleted while this call waited", Code: shimrpc.CodeTryAgainLater}
	}
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	pod, err := s.Pods.Pod(ctx, r.pod.Namespace, r.pod.Name, r.pod.UID)
	if err != nil {
		return nil, unknownPod(err)
	}
	s.stage("ADD", "pod", began)
	record, err := s.attach(ctx, r, pod)
	if err != nil {
		return nil, s.refuse(ctx, pod, err)
	}
	return result(r.version, record)
}

func unknownPod(err error) error {
	if errors.Is(err, ErrNotFound) {
		return &Refusal{Reason: ReasonUnknownPod, Message: err.Error(), Fix: "none needed if the Pod was just deleted", Code: shimrpc.CodeTryAgainLater}
	}
	if errors.Is(err, ErrUnavailable) {
		return &Refusal{Reason: ipam.Unavailable, Message: err.Error(), Fix: "none needed once the API server answers: the call is repeated", Code: shimrpc.CodeTryAgainLater}
	}
	return err
}

// refuse tells the Pod why it is not attached.
func (s *Server) refuse(ctx context.Context, pod Pod, err error) error {
	if ctx.Err() != nil { // nobody waits any more: there is nothing that the Pod's owner could mend
		return fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	if errors.Is(err, ErrUnavailable) {
		err = unknownPod(err)
	}
	refusal := refused(err)
	s.Events.Warn(pod, refusal.Reason, refusal.note())
	return refusal
}

// attach does the work of an ADD and gives the record of it.
func (s *Server) attach(ctx context.Context, r *request, pod Pod) (Record, error) {
	began := time.Now()
	ns, err := netns.Open(r.NetNS)
	if err != nil {
		return Record{}, kind.NoNamespace{Path: r.NetNS, Err: err}
	}
	defer ns.Close()
	if old, ok := s.records.get(r.ContainerID); ok && old.State != Gone {
		if old.State == Wired && old.NetNSID == ns.ID() && old.UID == pod.UID && s.Wirer.Check(ctx, r.NetNS, old.Interfaces) == nil {
			return old, nil // said twice: nothing to do
		}
		if err := s.remove(ctx, old, r.NetNS); err != nil { // what an attempt left that was cut short
			return Record{}, err
		}
	}
	plan, err := s.planner.plan(ctx, pod, r.network, r.IfName)
	if err != nil {
		return Record{}, err
	}
	ports, err := r.mappings()
	if err != nil {
		return Record{}, err
	}
	if plan[0].net.Foreign() {
		ports = nil // it is told of them, as by the runtime
	}
	began = s.stage("ADD", "plan", began)
	record := Record{
		ContainerID: r.ContainerID, State: Wiring, Since: time.Now(), NetNS: r.NetNS, NetNSID: ns.ID(),
		Namespace: pod.Namespace, Pod: pod.Name, UID: pod.UID, Network: r.network, Ports: ports, Chains: chainsOf(plan, r, pod),
	}
	record.Annotation, record.Asked, record.Path = &pod.Networks, map[string]string{}, r.Path
	for i, one := range plan {
		record.Intended = append(record.Intended, one.sel.IfName)
		if i > 0 {
			record.Asked[one.sel.IfName] = one.written
		}
	}
	record.DeviceInfo = s.deviceInfos(plan)
	if record.DNS, err = resolvers(plan); err != nil {
		return Record{}, err
	}
	if err := s.records.put(record); err != nil {
		return Record{}, err
	}
	if record, err = s.make(ctx, record, plan, pod, began); err != nil {
		s.undo(ctx, record)
		return Record{}, err
	}
	s.reports.add(record)
	s.nodeOnly.wired(record, plan)
	s.ahead.wired(record, plan)
	return record, nil
}

// make takes addresses and wires what the record intends. The caller undoes the record that it gives back with an error.
func (s *Server) make(ctx context.Context, record Record, plan []planned, pod Pod, began time.Time) (Record, error) {
	var err error
	if record, err = s.primary(ctx, record, plan); err != nil {
		return record, err
	}
	if record, err = s.build(ctx, record, plan, pod, began); err != nil {
		return record, err
	}
	began = time.Now()
	if ports := record.ports(); len(ports.Mappings)+len(ports.Masquerade) > 0 {
		if err := s.Ports.Set(ctx, ports); err != nil {
			return record, err
		}
		s.stage("ADD", "ports", began)
	}
	if ctx.Err() != nil {
		return record, context.Cause(ctx)
	}
	record.Held, record.DNS = s.rights(record), toldDNS(record, plan)
	record.State = Wired
	return record, s.records.put(record)
}

// rights are what the interfaces of a record hold.
func (s *Server) rights(record Record) map[string][]byte {
	held := map[string][]byte{}
	for _, name := range record.Intended {
		if rights := s.Addresses.Rights(ipam.Key{ContainerID: record.ContainerID, IfName: name}); rights != nil {
			held[name] = rights
		}
	}
	return held
}

// build makes the interfaces of a plan, with their addresses, and all that plugins do to them. They stand in the record that it gives back
// in the order of the plan.
func (s *Server) build(ctx context.Context, record Record, plan []planned, pod Pod, began time.Time) (Record, error) {
	var err error
	for try := 1; ; try++ {
		if record.Interfaces, began, err = s.wire(ctx, record, plan, began); err == nil {
			break
		}
		inUse, met := errors.AsType[kind.AddressInUse](err)
		if !met {
			return record, err
		}
		if err := s.evade(ctx, record, plan, inUse, try); err != nil {
			return record, err
		}
	}
	if record, err = s.secondary(ctx, record, plan); err != nil {
		return record, err
	}
	if slices.ContainsFunc(plan, planned.leased) {
		if record, err = s.leaseAll(ctx, record, plan, pod); err != nil {
			return record, err
		}
		s.stage("ADD", "lease", began)
	}
	return record, s.requireGateways(ctx, record, plan)
}

// wire takes addresses and makes interfaces with them.
func (s *Server) wire(ctx context.Context, record Record, plan []planned, began time.Time) ([]kind.Wired, time.Time, error) {
	if err := s.recounter.plan(ctx, plan); err != nil {
		return nil, began, err
	}
	if err := s.takeAll(ctx, record, plan); err != nil {
		return nil, began, err
	}
	list, err := attachments(record.ContainerID, plan)
	if err != nil {
		return nil, began, err
	}
	for i := range list {
		s.verdicts.mark(&list[i], &plan[i])
	}
	began = s.stage("ADD", "address", began)
	own := slices.DeleteFunc(slices.Clone(list), func(a kind.Attachment) bool { _, foreign := a.Spec.(kind.Foreign); return foreign })
	var made []kind.Wired
	if len(own) > 0 {
		release, err := s.wiring(ctx, s.wirings)
		if err != nil {
			return nil, began, err
		}
		defer release()
		began = s.stage("ADD", "queue", began)
		if made, err = s.Wirer.Wire(ctx, record.NetNS, own); err != nil {
			return nil, began, err
		}
	}
	return record.place(plan, made), s.stage("ADD", "wire", began), nil
}

// where names the interface in messages.
func (p planned) where() string {
	if p.sel.Index == 0 {
		return "pod network (" + p.sel.IfName + ")"
	}
	return p.sel.where()
}

// takeAddresses takes the addresses of one interface, and puts them into the order in which they were wanted.
func (s *Server) takeAddresses(ctx context.Context, record Record, p *planned) error {
	if p.had != nil && p.had.taken {
		return nil
	}
	if p.net.Giver != nil {
		return s.ask(ctx, record, p)
	}
	p.grants = slices.Clone(p.fixed)
	if len(p.wants) == 0 {
		return nil
	}
	take, owner := s.Addresses.Take, p.owner(record)
	if p.had != nil {
		take = s.Addresses.TakeMore
	}
	for began := time.Now(); ; {
		taken, err := take(ctx, owner, p.wants)
		if err == nil {
			if p.had != nil {
				p.had.taken = true
			}
			p.grants = append(taken, p.fixed...)
			return nil
		}
		if ipam.ReasonOf(err) == ipam.UnknownClaim {
			return s.unknownClaim(ctx, p, err)
		}
		if ipam.ReasonOf(err) != ipam.Unavailable || ctx.Err() != nil || time.Since(began) > addressPatience {
			return err
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// owner is whose the addresses of an interface are.
func (p *planned) owner(record Record) ipam.Owner {
	return ipam.Owner{Key: ipam.Key{ContainerID: record.ContainerID, IfName: p.sel.IfName},
		Namespace: record.Namespace, Pod: record.Pod, UID: record.UID, Network: p.net.Ref}
}

// addressPatience is how long an ADD waits for an API server that does not answer, when no address is at hand. Giving up at once would
// make the runtime take the sandbox down and make it anew, which is more work for the same API server.
const addressPatience = 8 * time.Second

// undo takes everything back after a failed ADD, also when nobody waits any more. What cannot be taken back now is left to the sweep.
func (s *Server) undo(ctx context.Context, record Record) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	if err := s.remove(ctx, record, record.NetNS); err != nil {
		s.Log.Warn("an attachment that failed is not undone yet", "container", record.ContainerID, "err", err)
	}
}

// ReasonAdded is the reason of the Event per network of the annotation, and addedNote its words, that others look for. The pod network has
// none: every Pod has it, and each Event is a write.
const ReasonAdded = "AddedInterface"

func addedNote(w kind.Wired) string {
	return fmt.Sprintf("Add %s [%s] from %s", w.IfName, strings.Join(addressesOf(w), " "), w.Network)
}

func addressesOf(w kind.Wired) (all []string) {
	for _, a := range w.Addresses {
		all = append(all, a.Prefix.String())
	}
	return all
}
