package kind

import (
	"errors"
	"fmt"

	"github.com/tsunagu-net/tsunagu/kernel/link"
)

// create makes all interfaces in one system call. That none of them exists is what is expected and not asked first; only when the
// kernel refuses does anybody look why.
func (t *transaction) create() error {
	var fromNode []*job
	for _, j := range t.jobs {
		if !j.Spec.stacked() {
			fromNode = append(fromNode, j)
		}
	}
	if err := t.make(t.node, fromNode); err != nil {
		return err
	}
	return t.stack()
}

// make makes interfaces over one socket.
func (t *transaction) make(at *link.Conn, jobs []*job) error {
	refused, err := t.attempt(at, jobs)
	if err != nil || len(refused) == 0 {
		return err
	}
	var again []*job
	for _, r := range refused {
		retry, err := t.resolve(r.job, r.cause)
		if err != nil {
			return err
		}
		if retry {
			again = append(again, r.job)
		}
	}
	refused, err = t.attempt(at, again)
	if err != nil {
		return err
	}
	for _, r := range refused {
		return r.job.explain(r.cause)
	}
	return nil
}

type refusedJob struct {
	*job
	cause error
}

// attempt makes interfaces, and returns those that could not be made because something is in the way.
func (t *transaction) attempt(at *link.Conn, jobs []*job) (refused []refusedJob, err error) {
	var ops []link.Op
	var of []*job
	for _, j := range jobs {
		if op, ok := j.Spec.create(t, j); ok {
			ops, of = append(ops, op), append(of, j)
		}
	}
	for i, failure := range at.Each(ops...) {
		switch {
		case failure == nil:
			of[i].made = true
		case link.Exists(failure) || link.Busy(failure) || of[i].alone() && link.Invalid(failure):
			refused = append(refused, refusedJob{of[i], failure})
		default:
			err = errors.Join(err, of[i].explain(failure))
		}
	}
	return refused, err
}

// alone tells that the link below can have no other: the kernel calls a second one invalid before it looks at names.
func (j *job) alone() bool {
	s, ok := j.Spec.(Macvlan)
	return ok && s.Mode == "passthru"
}

// resolve removes what is in the way of an interface, if it is ours to remove. It tells whether to try again; not when the interface is
// there, complete.
func (t *transaction) resolve(j *job, cause error) (again bool, err error) {
	if link.Busy(cause) {
		if j.asked || j.mac == nil {
			return false, j.explain(cause)
		}
		j.mac = keyMAC(j.ContainerID, j.IfName) // another network on the same uplink has the same address
		return true, nil
	}
	links, err := t.pod.Links()
	if err != nil {
		return false, err
	}
	for _, l := range links {
		if l.Name != j.IfName && l.Name != j.hostIf {
			continue
		}
		if l.Group != link.Group {
			return false, NameTaken{IfName: l.Name, By: describe(l)}
		}
		if l.Name == j.IfName && t.complete(j, l) {
			j.kept = true
			return false, nil
		}
		if err := t.pod.Apply(link.DeleteIndex(l.Name, l.Index).Forgiving()); err != nil {
			return false, err
		}
	}
	if j.Spec.stacked() {
		return true, nil
	}
	if _, underItsName := j.Spec.(standing); underItsName {
		_, err := t.node.ByName(j.IfName)
		j.renamed = err == nil
		return true, nil
	}
	return true, t.node.Apply(link.Delete(j.hostIf).Forgiving())
}

// complete tells whether an interface that exists is as it would be made now.
func (t *transaction) complete(j *job, l link.Link) bool {
	j.inside = l
	want := j.wired()
	if j.mac != nil && (j.asked || j.taken == nil) {
		want.MAC = j.mac.String()
	}
	if j.mtu > 0 {
		want.MTU = j.mtu
	}
	err := t.compare(t.pod, t.node, []Record{want})
	j.inside = link.Link{}
	if _, on := j.Spec.(standing); on && l.Parent != j.below.Index {
		return false
	}
	return err == nil
}

// explain words the kernel's refusal for the user, where one can know what it means.
func (j *job) explain(err error) error {
	switch {
	case link.Unsupported(err) && j.Spec.module().name != "":
		return KernelLacks{Type: j.Spec.Type(), Module: j.Spec.module().name, Option: j.Spec.module().option, Kernel: link.Release()}
	case j.alone() && link.Invalid(err):
		return DeviceBusy{Type: j.Spec.Type(), Device: j.below.Name, Why: "has a macvlan already, and mode passthru wants it for itself"}
	case link.Exists(err) && j.below.Name != "":
		return DeviceBusy{Type: j.Spec.Type(), Device: j.below.Name, Why: j.Spec.inUse()}
	case link.Busy(err) && j.asked:
		return Conflict{Type: j.Spec.Type(), Device: j.mac.String(), Why: "is the address of another interface on the same uplink, or the uplink has another use: " + err.Error()}
	case link.Busy(err):
		return DeviceBusy{Type: j.Spec.Type(), Device: j.below.Name, Why: j.Spec.inUse() + ": " + err.Error()}
	case link.Missing(err) && j.below.Name != "":
		return fmt.Errorf("%s: %s went away: %w", j.Spec.Type(), j.below.Name, err)
	}
	return fmt.Errorf("%s: %w", j.Spec.Type(), err)
}

// describe says what an interface is, for errors.
func describe(l link.Link) string {
	if l.Kind == "" {
		return "a device"
	}
	return "a " + l.Kind
}
