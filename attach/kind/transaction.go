package kind

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
	"github.com/tsunagu-net/tsunagu/kernel/ovs"
	"github.com/tsunagu-net/tsunagu/kernel/wire"
)

// transaction is one Wire call at work.
type transaction struct {
	*Wirer
	ns   *netns.Namespace
	node *link.Conn // socket on the node
	pod  *link.Conn // socket in the Pod
	jobs []*job
	// handed are devices without an interface, which only their cards know of
	handed []*job

	knobs     []*link.Knob    // sysctls to put back
	announcer *wire.Announcer // nil when nothing is to be announced by IPv6
	announced []announcement  // by it

	lockedBridges bool
	bridges       []string     // made by this call
	guarded       []string     // ports that were guarded by this call
	plugged       []*job       // ports of Open vSwitch that were made by this call
	tied          []int        // ports that were put on VLANs by this call
	displaced     []link.Route // default routes of others, to put back
}

// run does everything in order. After an error the caller undoes.
func (t *transaction) run(ctx context.Context) error {
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"enter", t.enter}, {"prepare", t.prepare}, {"create", t.create}, {"observe", t.observe},
		{"plug", func() error { return t.plug(ctx) }}, {"probe", func() error { return t.probe(ctx) }}, {"configure", t.configure}, {"finish", t.finish}, {"announce", t.announce},
	} {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("wire %s: %w", t.ns.Path(), context.Cause(ctx))
		}
		if err := step.do(); err != nil {
			return err
		}
		if t.fault != nil {
			if err := t.fault(step.name); err != nil {
				return err
			}
		}
	}
	return nil
}

// enter opens what has to be opened inside, in one visit. New interfaces must neither listen to routers, because their addresses are
// given, nor find IPv6 disabled when they are to have such addresses; both are inherited at the moment they are made.
func (t *transaction) enter() error {
	var addressed, ipv6, announced bool
	for _, j := range t.jobs {
		addressed = addressed || len(j.addresses) > 0
		for _, a := range j.addresses {
			if a.Prefix.Addr().Is6() {
				ipv6 = true
				announced = announced || !j.Spec.routed()
			}
		}
	}
	return t.ns.Do(func() (err error) {
		if t.pod, err = link.DialHere(); err != nil {
			return err
		}
		if addressed {
			if err := t.turn("ipv6/conf/default/accept_ra", "0"); err != nil {
				return err
			}
		}
		if ipv6 {
			if err := t.turn("ipv6/conf/default/disable_ipv6", "0"); err != nil {
				return err
			}
		}
		if announced {
			t.announcer, err = wire.OpenHere()
		}
		return err
	})
}

func (t *transaction) turn(path, value string) error {
	k, err := link.TurnHere(path, value)
	if k != nil {
		t.knobs = append(t.knobs, k)
	}
	return err
}

// prepare lets each kind find or make what its interface stands on.
func (t *transaction) prepare() error {
	for _, j := range t.jobs {
		if err := j.Spec.prepare(t, j); err != nil {
			return j.blame(err)
		}
	}
	t.jobs, t.handed = split(t.jobs)
	return nil
}

// split takes out what has no interface: nothing more is to be done for it.
func split(all []*job) (wired, handed []*job) {
	for _, j := range all {
		if j.userspace {
			handed = append(handed, j)
		} else {
			wired = append(wired, j)
		}
	}
	return wired, handed
}

// observe learns how the kernel has made the interfaces.
func (t *transaction) observe() error {
	t.releaseBridges()
	links, err := t.pod.Links()
	if err != nil {
		return err
	}
	for _, j := range t.jobs {
		for _, l := range links {
			if l.Name == j.IfName || j.renamed && l.Name == j.hostIf {
				j.inside, j.hostLink = l, l.Parent
			}
		}
		if j.inside.Index == 0 {
			return fmt.Errorf("interface %s vanished while it was wired", j.IfName)
		}
		j.inside.Name = j.IfName
	}
	if err := t.tie(); err != nil {
		return err
	}
	return t.displace(links)
}

// displace notes default routes that others have put into the Pod and that an owner among the attachments replaces.
func (t *transaction) displace(links []link.Link) error {
	ours := map[int]bool{}
	for _, j := range t.jobs {
		ours[j.inside.Index] = true
	}
	foreign := false
	for _, l := range links {
		foreign = foreign || l.Up && !l.Loopback && !ours[l.Index]
	}
	if !foreign {
		return nil
	}
	var owned [2]bool
	for _, j := range t.jobs {
		for _, gw := range j.DefaultRoute {
			owned[family(gw)] = true
		}
	}
	routes, err := t.pod.Routes()
	if err != nil {
		return err
	}
	for _, r := range routes {
		if r.IsDefault() && r.InMain() && owned[family(r.Dst.Addr())] && !ours[r.Index] {
			t.displaced = append(t.displaced, r)
		}
	}
	return nil
}

// configure puts addresses, routes and neighbours into the Pod and on the node, each in one system call.
func (t *transaction) configure() error {
	if err := t.notify(); err != nil {
		return err
	}
	if err := t.protect(); err != nil {
		return err
	}
	ops := []link.Op{link.Up("lo", 1)}
	for _, r := range t.displaced {
		ops = append(ops, link.DeleteRoute(fmt.Sprintf("interface %d", r.Index), r).Forgiving())
	}
	for _, j := range t.jobs {
		if !j.kept {
			ops = append(ops, t.podOps(j)...)
		}
	}
	if err := t.pod.Apply(ops...); err != nil {
		return err
	}
	// Routes come last: those over one interface may need an address of another.
	ops = ops[:0]
	for _, j := range t.jobs {
		if !j.kept {
			ops = append(ops, j.routeOps()...)
		}
	}
	if err := t.pod.Apply(ops...); err != nil {
		return err
	}
	return t.settle()
}

// finish is configure's counterpart on the node.
func (t *transaction) finish() error {
	var ops []link.Op
	for _, j := range t.jobs {
		ops = append(ops, j.Spec.finish(t, j)...)
	}
	if err := t.node.Apply(ops...); err != nil {
		return err
	}
	if err := t.attached(); err != nil {
		return err
	}
	return t.listenToRouters()
}

// podOps are the operations inside the Pod that come before any route.
func (t *transaction) podOps(j *job) []link.Op {
	if j.down() {
		return nil
	}
	ops := []link.Op{j.up()}
	bare := j.Spec.routed()
	for _, a := range j.addresses {
		ops = append(ops, link.AddAddress(j.IfName, j.inside.Index, a.Prefix, link.AddressOptions{NoPrefixRoute: bare, Detect: j.Spec.notices().dad == "1"}))
	}
	if bare {
		for _, gw := range j.gateways() {
			ops = append(ops, link.SetNeighbour(j.IfName, j.inside.Index, gw, nodeMAC))
		}
	}
	return ops
}

// up sets the interface up, under its name.
func (j *job) up() link.Op {
	yes := true
	change := link.Change{Device: j.IfName, Index: j.inside.Index, Up: &yes}
	if j.renamed {
		change.Name = j.IfName
	}
	return link.Set(change)
}

// gateways are all next hops of a routed interface. Every one of them is the node.
func (j *job) gateways() []netip.Addr {
	all := j.Spec.DefaultGateways(j.Addresses)
	for _, r := range j.routes {
		if r.Gateway.IsValid() && !slices.Contains(all, r.Gateway) {
			all = append(all, r.Gateway)
		}
	}
	return all
}

func (j *job) routeOps() []link.Op {
	ops := make([]link.Op, 0, len(j.routes))
	for _, r := range j.routes {
		ops = append(ops, link.AddRoute(j.IfName, link.Route{
			Index: j.inside.Index, Dst: r.Dst, Gateway: r.Gateway, Scope: r.Scope,
			OnLink: j.Spec.routed() && r.Gateway.IsValid() && (r.Gateway.Is4() || !r.Gateway.IsLinkLocalUnicast()),
			Table:  r.Table, Priority: r.Priority, MTU: r.MTU, AdvMSS: r.AdvMSS,
		}))
	}
	return ops
}

// listenToRouters lets interfaces without addresses be configured by routers, as everywhere else in the Pod.
func (t *transaction) listenToRouters() error {
	if len(t.knobs) == 0 {
		return nil
	}
	var bare []string
	for _, j := range t.jobs {
		if len(j.addresses) == 0 && j.IfName != "lo" && !j.kept {
			bare = append(bare, j.IfName)
		}
	}
	if len(bare) == 0 {
		return nil
	}
	return t.ns.Do(func() error {
		for _, name := range bare {
			if link.ReadHere("ipv6/conf/"+name+"/accept_ra") == "0" {
				if err := link.WriteHere("ipv6/conf/"+name+"/accept_ra", "1"); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// announce tells the segments who has the addresses now. What cannot be announced is found by its neighbours in time.
func (t *transaction) announce() error {
	for _, j := range t.jobs {
		if j.Spec.routed() || j.kept || j.IfName == "lo" {
			continue
		}
		for _, a := range j.addresses {
			var err error
			if a.Quiet {
				continue
			}
			if ip := a.Prefix.Addr(); ip.Is4() {
				err = t.pod.Apply(link.Announce4(j.IfName, j.inside.Index, ip))
			} else {
				err = t.announcer.Announce6(j.inside.Index, ip, j.inside.MAC)
				t.announced = append(t.announced, announcement{j.inside.Index, ip, j.inside.MAC})
			}
			if err != nil {
				t.log.Debug("address not announced", "interface", j.IfName, "address", a.Prefix, "cause", err)
			}
		}
	}
	return nil
}

// leave puts back what was only for the moment.
func (t *transaction) leave() {
	t.releaseBridges()
	for _, k := range t.knobs {
		if err := k.Back(); err != nil {
			t.log.Warn("sysctl not put back", "namespace", t.ns.Path(), "cause", err)
		}
	}
	switch {
	case t.announcer == nil:
	case len(t.announced) > 0:
		t.repeaters.start(t.ns.Path(), t.announcer, t.announced, &t.tasks)
	default:
		t.announcer.Close()
	}
	if t.pod != nil {
		t.pod.Close()
	}
}

// undo removes everything this call has made. It returns what it could not do.
func (t *transaction) undo() error {
	t.announced = nil
	if t.pod == nil {
		return nil
	}
	var ops []link.Op
	links, failed := t.pod.Links()
	for _, j := range t.jobs {
		if !j.made {
			continue
		}
		for _, l := range links {
			if j.taken != nil {
				if hostIf, _, ok := takenDevice(l); ok && hostIf == j.hostIf {
					failed = errors.Join(failed, t.giveBack(t.pod, t.node, l, *j.taken, j.hostIf))
				}
			} else if l.Name == j.IfName || l.Name == j.hostIf {
				ops = append(ops, link.DeleteIndex(l.Name, l.Index).Forgiving())
			}
		}
		if j.taken != nil {
			if l, err := t.node.ByIndex(j.below.Index); err == nil && l.Alias == j.taken.alias(j.hostIf) {
				failed = errors.Join(failed, t.restore(t.node, l.Name, *j.taken))
			}
		}
	}
	for _, r := range t.displaced {
		ops = append(ops, link.AddRoute(fmt.Sprintf("interface %d", r.Index), r).Forgiving())
	}
	failed = errors.Join(failed, t.pod.Apply(ops...))
	wired, handed := split(t.jobs)
	t.jobs = wired
	for _, j := range append(handed, t.handed...) {
		if j.made {
			failed = errors.Join(failed, t.resetFunction(t.node, *j.taken))
		}
	}
	for _, j := range t.plugged {
		failed = errors.Join(failed, ovs.Switch{Socket: j.socket}.DeletePort(context.Background(), j.hostIf))
	}
	if len(t.guarded) > 0 {
		failed = errors.Join(failed, t.guard.Forget(t.guarded...))
	}
	if len(t.tied) > 0 {
		failed = errors.Join(failed, t.untie([]Record{{}}))
	}
	if len(t.bridges) > 0 {
		t.holdBridges()
		failed = errors.Join(failed, t.dropBridges(t.node, t.bridges))
		t.releaseBridges()
	}
	return failed
}
