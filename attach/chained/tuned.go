package chained

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/tsunagu-net/tsunagu/attach/kind"
	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// before is how an interface was before Tuning, as far as it was changed.
type before struct {
	MAC          string  `json:"mac,omitempty"`
	MTU          int     `json:"mtu,omitempty"`
	Promisc      *bool   `json:"promisc,omitempty"`
	AllMulticast *bool   `json:"allmulti,omitempty"`
	QueueLength  *uint32 `json:"txQLen,omitempty"`
}

// tune sets sysctls and properties of the interface, all or none.
func (r *Runner) tune(c Call, t Tuning) (w kind.Wired, state json.RawMessage, err error) {
	w = c.Wired
	if err := r.permit(t); err != nil {
		return w, nil, err
	}
	if c.Runtime.MAC != nil {
		t.MAC = c.Runtime.MAC
	}
	err = inPod(c, func(conn *link.Conn, l link.Link) (err error) {
		var was before
		change := link.Change{Device: l.Name, Index: l.Index, MAC: t.MAC, MTU: t.MTU, AllMulticast: t.AllMulticast, QueueLength: t.QueueLength}
		if t.MAC != nil {
			was.MAC, w.MAC = l.MAC.String(), t.MAC.String()
		}
		if t.MTU != 0 {
			was.MTU, w.MTU = l.MTU, t.MTU
		}
		if t.Promisc {
			was.Promisc, change.Promisc = &l.Promisc, &t.Promisc
		}
		if t.AllMulticast != nil {
			was.AllMulticast = &l.AllMulticast
		}
		if t.QueueLength != nil {
			was.QueueLength = &l.QueueLength
		}
		turned, err := writeSysctls(t, c.IfName)
		defer func() {
			if err != nil {
				err = errors.Join(append([]error{err}, turned.back()...)...)
			}
		}()
		if err != nil || was == (before{}) {
			return err
		}
		if err := setOf(conn, l, change); err != nil {
			return errors.Join(err, conn.Apply(link.Set(was.change(l))))
		}
		state, err = json.Marshal(was)
		return err
	})
	return w, state, err
}

// setOf changes what is not so already: some interfaces cannot be told even what they are.
func setOf(conn *link.Conn, l link.Link, c link.Change) error {
	if c.MAC.String() == l.MAC.String() {
		c.MAC = nil
	}
	if c.MTU == l.MTU {
		c.MTU = 0
	}
	err := conn.Apply(link.Set(c))
	switch {
	case err == nil:
		return nil
	case link.Unsupported(err) && c.MAC != nil:
		return kind.BadConfig{Type: "tuning", Field: "mac", Message: fmt.Sprintf("%s of %s cannot be changed: %v", c.MAC, l.Name, err),
			Hint: "leave out the mac of tuning: this kind of interface has that of its master"}
	case link.Invalid(err) && c.MTU != 0:
		return kind.BadConfig{Type: "tuning", Field: "mtu", Message: fmt.Sprintf("%d is not possible for %s: %v", c.MTU, l.Name, err),
			Hint: "use an MTU that is not larger than that of the interface below"}
	}
	return err
}

// change leads back.
func (b before) change(l link.Link) link.Change {
	c := link.Change{Device: l.Name, Index: l.Index, MTU: b.MTU, Promisc: b.Promisc, AllMulticast: b.AllMulticast, QueueLength: b.QueueLength}
	c.MAC, _ = net.ParseMAC(b.MAC) // "" is none
	return c
}

// untune gives the interface back how it was: one that goes back to the node must not be changed.
func untune(c Call, state json.RawMessage) error {
	var was before
	if len(state) == 0 || json.Unmarshal(state, &was) != nil {
		return nil
	}
	return unlessGone(inPod(c, func(conn *link.Conn, l link.Link) error {
		back := was.change(l)
		if back.MAC.String() == l.MAC.String() {
			back.MAC = nil
		}
		return conn.Apply(link.Set(back))
	}))
}

// checkTuning compares what was asked for with what is there.
func checkTuning(c Call, t Tuning) error {
	if c.Runtime.MAC != nil {
		t.MAC = c.Runtime.MAC
	}
	return inPod(c, func(_ *link.Conn, l link.Link) error {
		differs := func(what, want, have string) error {
			return kind.Mismatch{IfName: c.IfName, What: what, Want: want, Have: have}
		}
		for _, key := range slices.Sorted(maps.Keys(t.Sysctls)) {
			path, _ := sysctlPath(key, c.IfName)
			if have := link.ReadHere(path); words(have) != words(t.Sysctls[key]) {
				return differs("sysctl "+key, strconv.Quote(t.Sysctls[key]), strconv.Quote(have))
			}
		}
		switch {
		case t.MAC != nil && t.MAC.String() != l.MAC.String():
			return differs("the MAC", t.MAC.String(), l.MAC.String())
		case t.MTU != 0 && t.MTU != l.MTU:
			return differs("the MTU", strconv.Itoa(t.MTU), strconv.Itoa(l.MTU))
		case t.Promisc && !l.Promisc:
			return differs("promisc", "on", "off")
		case t.AllMulticast != nil && *t.AllMulticast != l.AllMulticast:
			return differs("allmulti", strconv.FormatBool(*t.AllMulticast), strconv.FormatBool(l.AllMulticast))
		case t.QueueLength != nil && *t.QueueLength != l.QueueLength:
			return differs("txQLen", fmt.Sprint(*t.QueueLength), fmt.Sprint(l.QueueLength))
		}
		return nil
	})
}

// words is a value as the kernel may show it again: with other space.
func words(s string) string { return strings.Join(strings.Fields(s), " ") }

// turned are sysctls that were changed, with their values before, in order.
type turned [][2]string

func (t turned) back() (errs []error) {
	for _, one := range slices.Backward(t) {
		errs = append(errs, link.WriteHere(one[0], one[1]))
	}
	return errs
}

// writeSysctls sets the sysctls in the namespace of the calling thread, in the order of their keys.
func writeSysctls(t Tuning, ifName string) (done turned, err error) {
	for _, key := range slices.Sorted(maps.Keys(t.Sysctls)) {
		path, ok := sysctlPath(key, ifName)
		if !ok {
			return done, fmt.Errorf("sysctl %s: none of the network", key)
		}
		was, value := link.ReadHere(path), t.Sysctls[key]
		if err := link.WriteHere(path, value); err != nil {
			bad := kind.BadConfig{Type: "tuning", Field: "sysctl", Message: fmt.Sprintf("%s = %q: %v", key, value, err), Hint: "correct the value of the sysctl"}
			if errors.Is(err, fs.ErrNotExist) {
				bad.Message, bad.Hint = fmt.Sprintf("%s: Pods on this node have no such sysctl", key), "correct the name of the sysctl: see \"sysctl -a\" in a Pod"
			}
			return done, bad
		}
		done = append(done, [2]string{path, was})
	}
	return done, nil
}

// inPod does something in the Pod's namespace, with the interface. The error is kind.NoNamespace when the Pod is gone.
func inPod(c Call, do func(*link.Conn, link.Link) error) error {
	if c.NetNS == "" {
		return kind.NoNamespace{Path: c.NetNS, Err: netns.ErrGone}
	}
	ns, err := netns.Open(c.NetNS)
	if errors.Is(err, netns.ErrGone) {
		return kind.NoNamespace{Path: c.NetNS, Err: err}
	}
	if err != nil {
		return err
	}
	defer ns.Close()
	return ns.Do(func() error {
		conn, err := link.DialHere()
		if err != nil {
			return err
		}
		defer conn.Close()
		l, err := conn.ByName(c.IfName)
		if err != nil {
			return err
		}
		return do(conn, l)
	})
}

// unlessGone takes a Pod or an interface that is gone for done.
func unlessGone(err error) error {
	if _, gone := errors.AsType[kind.NoNamespace](err); gone || link.Missing(err) {
		return nil
	}
	return err
}
