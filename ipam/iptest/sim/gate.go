package sim

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tsunagu-net/tsunagu/ipam"
	"github.com/tsunagu-net/tsunagu/ipam/iptest"
)

var errLost = errors.New("connection reset by peer")

// fate is what happens to one call.
type fate uint8

const (
	arrives fate = iota
	neverArrives
	answerLost
	arrivesLate
	refused   // 403, or a webhook says no
	throttled // 429: not done, and we are told
	timesOut  // 504: done or not
	conflicts // 409: somebody wrote first
	crashBefore
	crashAfter
)

var fates = [...]string{"arrives", "never arrives", "answer lost", "arrives late", "refused", "throttled", "times out", "conflicts", "crash before", "crash after"}

// fateOf draws in 1/1000.
func (w *World) fateOf(c iptest.Call) fate {
	n := w.under(1000, c.String(), "fate")
	for _, f := range []struct {
		fate
		most int
	}{{neverArrives, 15}, {answerLost, 30}, {arrivesLate, 42}, {refused, 50}, {throttled, 58}, {timesOut, 66}, {conflicts, 86}, {crashBefore, 90}, {crashAfter, 96}} {
		if n < f.most {
			return f.fate
		}
	}
	return arrives
}

// gate is the network between a node and the API server.
func (w *World) gate(ctx context.Context, c iptest.Call, deed func() error) error {
	what := c.String()
	way := 4 * time.Millisecond
	w.mu.Lock()
	if time.Now().Before(w.slow) && !w.over {
		way = time.Second
	}
	away := time.Now().Before(w.away) && !w.over
	w.mu.Unlock()
	if !wait(ctx, w.pause(way, what)) {
		return ctx.Err()
	}
	if w.isDead(c.Node) {
		return iptest.ErrDead
	}
	w.note(what)
	switch {
	case away, w.cut(c.Node):
		return errLost
	}
	lot := arrives
	if !w.isOver() {
		lot = w.fateOf(c)
	}
	if err, done := w.fall(lot, c, deed); done {
		return err
	}
	err := deed()
	if lot == crashAfter {
		w.die(c.Node)
	}
	if !wait(ctx, w.pause(way, what, "back")) {
		return ctx.Err()
	}
	if w.isDead(c.Node) {
		return iptest.ErrDead
	}
	return err
}

// fall lets a fate have its way; done means that the call is over.
func (w *World) fall(lot fate, c iptest.Call, deed func() error) (err error, done bool) {
	if lot != arrives {
		w.count("call " + fates[lot])
	}
	switch lot {
	case neverArrives, throttled:
		return errLost, true
	case answerLost:
		_ = deed()
		return errLost, true
	case timesOut:
		if w.under(2, c.String(), "504") == 0 {
			_ = deed()
		}
		return errLost, true
	case refused:
		if c.Write() {
			return fmt.Errorf("%s: %w", c, ipam.ErrForbidden), true
		}
	case conflicts:
		if c.Verb == "update" && c.Kind == "block" {
			w.Store.Touch(c.Name)
		}
	case arrivesLate:
		if c.Write() {
			late := w.pause(6*time.Second, c.String(), "late")
			go func() { time.Sleep(late); _ = deed() }()
			return errLost, true
		}
	case crashBefore:
		w.die(c.Node)
		return iptest.ErrDead, true
	}
	return nil, false
}

// lag is how long an event is under way: now and then a watch hangs.
func (w *World) lag(node string) time.Duration {
	switch {
	case w.isOver():
		return w.pause(10*time.Millisecond, "lag", node)
	case w.under(15, "hangs", node) == 0:
		return w.pause(8*time.Second, "lag", node)
	}
	return w.pause(200*time.Millisecond, "lag", node)
}

// twist is what happens to a watch.
func (w *World) twist(node string) iptest.Twist {
	if w.isOver() {
		return iptest.Straight
	}
	switch w.under(40, "twist", node) {
	case 0:
		w.count("watch twice")
		return iptest.Twice
	case 1:
		w.count("watch breaks")
		return iptest.Break
	case 2:
		w.count("watch goes back")
		return iptest.Back
	}
	return iptest.Straight
}

// cut tells whether an agent is cut off: its machine is lost.
func (w *World) cut(life string) bool {
	id, _, _ := strings.Cut(life, "#")
	w.mu.Lock()
	m := w.machines[id]
	w.mu.Unlock()
	return m.isCut()
}
