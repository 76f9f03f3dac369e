package main

import (
	"strings"
	"syscall"
	"time"

	"github.com/tsunagu-net/tsunagu/vip"
	"github.com/tsunagu-net/tsunagu/vip/viptest"
)

// event is what happens to the owner. It returns when all that could follow has followed.
type event struct {
	name, what string
	happen     func(r *round, w *viptest.Watch, owner *viptest.Node) error
	// serves tells that every node has an API server, which both sides watch; what is measured is its answers, not the node's.
	serves bool
}

func events() []event {
	return []event{
		{name: "cut", what: "the owner's port of the switch is taken out, and put back after a new owner answers", happen: cut},
		{name: "mute", what: "what the owner sends to its peers is lost; it hears them, and clients", happen: mute},
		{name: "kill", what: "SIGKILL, not started again", happen: kill},
		{name: "stop", what: "SIGSTOP, SIGCONT after five seconds", happen: stop},
		{name: "handover", what: "SIGTERM", happen: handover},
		{name: "reboot", what: "cut off and killed at once, then started again", happen: reboot},
		{name: "api", what: "the owner's API server is killed; keepalived asks it once a second, as its documentation has it", happen: loseAPI, serves: true},
	}
}

func eventNames() string {
	var names []string
	for _, e := range events() {
		names = append(names, e.name)
	}
	return strings.Join(names, ", ")
}

const (
	patience = 15 * time.Second
	// after is how long the aftermath is watched.
	after = 1500 * time.Millisecond
)

// moved waits until another node answers the client.
func moved(w *viptest.Watch, from time.Duration, owner *viptest.Node, patience time.Duration) {
	_, _ = w.Answered(from, owner.Name, patience) // the gap tells when nobody does
}

func cut(r *round, w *viptest.Watch, owner *viptest.Node) error {
	mark := w.Mark()
	if err := r.site.Cut(owner); err != nil {
		return err
	}
	moved(w, mark, owner, patience)
	time.Sleep(after)
	if err := r.site.Heal(owner); err != nil {
		return err
	}
	time.Sleep(after)
	return nil
}

func mute(r *round, w *viptest.Watch, owner *viptest.Node) error {
	if err := r.site.Silence(owner, vip.DefaultPort); err != nil {
		return err
	}
	mark := w.Mark()
	moved(w, mark, owner, 5*time.Second)
	time.Sleep(after)
	if err := r.site.Heal(owner); err != nil {
		return err
	}
	time.Sleep(after)
	return nil
}

func kill(r *round, w *viptest.Watch, owner *viptest.Node) error {
	mark := w.Mark()
	if err := r.procs[owner].Signal(syscall.SIGKILL); err != nil {
		return err
	}
	moved(w, mark, owner, 6*time.Second)
	time.Sleep(after)
	return nil
}

func stop(r *round, w *viptest.Watch, owner *viptest.Node) error {
	if err := r.procs[owner].Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	time.Sleep(5 * time.Second)
	if err := r.procs[owner].Signal(syscall.SIGCONT); err != nil {
		return err
	}
	time.Sleep(2 * after)
	return nil
}

func handover(r *round, w *viptest.Watch, owner *viptest.Node) error {
	mark := w.Mark()
	if err := r.procs[owner].Signal(syscall.SIGTERM); err != nil {
		return err
	}
	moved(w, mark, owner, patience)
	time.Sleep(after)
	return nil
}

func reboot(r *round, w *viptest.Watch, owner *viptest.Node) error {
	mark := w.Mark()
	if err := r.site.Cut(owner); err != nil {
		return err
	}
	if err := r.procs[owner].Signal(syscall.SIGKILL); err != nil {
		return err
	}
	moved(w, mark, owner, patience)
	// A machine that boots has no addresses of former processes.
	if err := viptest.Inside(owner.NS, "ip addr del "+viptest.VIP4.String()+"/32 dev eth0 2>/dev/null; ip link del tsunagu-vip 2>/dev/null; true"); err != nil {
		return err
	}
	if err := r.site.Heal(owner); err != nil {
		return err
	}
	if err := r.start(owner); err != nil {
		return err
	}
	time.Sleep(2 * after)
	return nil
}

func loseAPI(r *round, _ *viptest.Watch, owner *viptest.Node) error {
	c := r.site.Call(viptest.VIP4)
	defer c.Stop()
	time.Sleep(after)
	mark := c.Mark()
	r.servers[owner].Kill()
	c.Answered(mark, owner.Name, patience)
	time.Sleep(after)
	r.called = c.Gap(mark)
	return nil
}
