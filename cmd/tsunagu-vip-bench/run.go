package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/tsunagu-net/tsunagu/vip/viptest"
)

// round is one side meeting one event, on a fresh site.
type round struct {
	side    side
	event   event
	program string
	dir     string
	log     *bytes.Buffer
	site    *viptest.Site
	procs   map[*viptest.Node]*viptest.Process
	servers map[*viptest.Node]*viptest.APIServer // nil when the event is about no API server
	called  time.Duration                        // for how long no API server answered at the address
}

// outcome is what was seen of it, in milliseconds.
type outcome struct {
	Gap, At, Both float64 // At is when the gap began, after the event
}

// run measures everything and prints the table. Met tells whether the promises were kept.
func run(ctx context.Context, o options, out, log io.Writer) (met bool, err error) {
	if os.Getuid() != 0 {
		return false, fmt.Errorf("namespaces of its own take root: try sudo")
	}
	if o.program, err = filepath.Abs(o.program); err != nil {
		return false, err
	}
	all := slices.DeleteFunc(sides(), func(s side) bool { return !wanted(o.sides, s.name) })
	if _, err := exec.LookPath("keepalived"); err != nil {
		fmt.Fprintln(log, "keepalived is not installed: only tsunagu-vip is measured")
		all = slices.DeleteFunc(all, func(s side) bool { return !s.ours })
	}
	seen := map[string]map[string][]outcome{}
	for i := range o.rounds {
		for _, e := range events() {
			if !wanted(o.only, e.name) {
				continue
			}
			rand.Shuffle(len(all), func(a, b int) { all[a], all[b] = all[b], all[a] })
			for _, s := range all {
				if ctx.Err() != nil {
					return false, ctx.Err()
				}
				x, err := once(o, s, e)
				if err != nil {
					return false, fmt.Errorf("round %d, %s, %s: %w", i+1, s.name, e.name, err)
				}
				if o.keep {
					fmt.Fprintf(log, "%-9s %-17s no answer for %7.1f ms (%.0f ms later), two answerers for %7.1f ms\n", e.name, s.name, x.Gap, x.At, x.Both)
				}
				if seen[e.name] == nil {
					seen[e.name] = map[string][]outcome{}
				}
				seen[e.name][s.name] = append(seen[e.name][s.name], x)
			}
		}
		fmt.Fprintf(log, "round %d of %d is done\n", i+1, o.rounds)
	}
	return report(out, seen), nil
}

// once runs one side and one event.
func once(o options, s side, e event) (x outcome, err error) {
	r := &round{side: s, event: e, program: o.program, log: &bytes.Buffer{}, procs: map[*viptest.Node]*viptest.Process{}}
	if r.dir, err = os.MkdirTemp("", "tsunagu-vip-bench-"); err != nil {
		return x, err
	}
	defer os.RemoveAll(r.dir)
	if r.site, err = viptest.New(fmt.Sprintf("tstb%d", os.Getpid()), 3); err != nil {
		return x, err
	}
	defer r.site.Close()
	defer func() {
		for _, p := range r.procs {
			p.Stop()
		}
	}()
	if e.serves {
		r.servers = map[*viptest.Node]*viptest.APIServer{}
	}
	leases := viptest.NewLeases()
	for _, n := range r.site.Nodes {
		var server *viptest.APIServer
		switch {
		case s.byLease:
			server, err = n.Serve(leases)
		case e.serves:
			server, err = n.Serve()
		}
		if err != nil {
			return x, err
		}
		if server != nil {
			defer server.Kill()
		}
		if e.serves {
			r.servers[n] = server
		}
		if err := r.start(n); err != nil {
			return x, err
		}
	}
	w, err := r.site.Watch(viptest.VIP4)
	if err != nil {
		return x, err
	}
	defer w.Stop()
	if _, ok := w.Answered(0, "", patience); !ok {
		return x, fmt.Errorf("nobody has the address at the beginning:\n%s", r.log)
	}
	time.Sleep(after) // all know each other
	owner, err := r.owner(w)
	if err != nil {
		return x, fmt.Errorf("before the event: %w\n%s", err, r.log)
	}
	mark := w.Mark()
	if err := e.happen(r, w, owner); err != nil {
		return x, err
	}
	gap, at := w.GapAt(mark)
	if e.serves {
		gap, at = r.called, 0
	}
	return outcome{Gap: ms(gap), At: ms(at), Both: ms(w.Both())}, nil
}

func (r *round) start(n *viptest.Node) error {
	p, err := r.side.start(r, n, slices.Index(r.site.Nodes, n))
	if err == nil {
		r.procs[n] = p
	}
	return err
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
