package bench

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"
)

// World is everything that is measured in: API server, node, agent, Pods.
type World struct {
	api        *api
	agent      *agent // nil when only the peer runs
	contenders []*Contender
	pods       []Pod
	programs   Programs
	log        io.Writer
	began      time.Time
	poolsMade  int // so that each has a name of its own
}

// Programs are the directories of the executables.
type Programs struct{ Kubernetes, Product string }

// raise makes the world, inside a Box.
func raise(ctx context.Context, o Options, p Programs, log io.Writer) (*World, error) {
	w := &World{programs: p, log: log, began: time.Now()}
	if err := furnish(o.Work); err != nil || o.Only == "packets" {
		return w, err // those make their own nodes
	}
	if err := wire(); err != nil {
		return w, err
	}
	if o.Only == "ipam" || o.Only == "webhook" { // nodes of another kind, by a program of their own
		return w, w.serveAPI(ctx, o)
	}
	if o.Side != Ours {
		c, err := peer(o.Work)
		if err != nil {
			return w, err
		}
		w.contenders = append(w.contenders, c)
	}
	err := w.serveAPI(ctx, o)
	if err != nil {
		return w, err
	}
	if w.pods, err = w.api.pods(ctx, max(o.Pods, 2*turns)); err != nil {
		return w, fmt.Errorf("making Pods: %w", err)
	}
	if o.Side != Peer {
		w.say("starting tsunagu-agent")
		if w.agent, err = startAgent(ctx, p, o.Work, w.api.kubeconfig); err != nil {
			return w, err
		}
		c, err := ours(o.Work)
		if err != nil {
			return w, err
		}
		w.contenders = append([]*Contender{c}, w.contenders...)
	}
	return w, nil
}

// serveAPI starts the API server with all that an agent reads but Pods.
func (w *World) serveAPI(ctx context.Context, o Options) (err error) {
	w.say("starting etcd and kube-apiserver")
	if w.api, err = startAPI(ctx, w.programs.Kubernetes, o.Work); err != nil {
		return err
	}
	return w.api.describe(ctx, o.Root+"/deploy/crds")
}

// end stops the programs. The rest goes with the Box.
func (w *World) end() {
	w.agent.stop()
	w.api.stop()
}

// inTurn is the order of a turn: who begins alternates.
func inTurn(sides []*Contender, turn int) []*Contender {
	o := slices.Clone(sides)
	if turn%2 == 1 {
		slices.Reverse(o)
	}
	return o
}

func (w *World) contender(name string) *Contender {
	for _, c := range w.contenders {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// say tells the person who waits.
func (w *World) say(format string, args ...any) {
	fmt.Fprintf(w.log, "%6.1fs  %s\n", time.Since(w.began).Seconds(), fmt.Sprintf(format, args...))
}
