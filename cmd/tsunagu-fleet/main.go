// Command tsunagu-fleet is many nodes in one process, for `make bench`: of each node the agent's attach server at its socket, the
// address allocator, the journals and a client of the API server of its own. What it leaves out is the wiring: interfaces are noted in
// a history and not made. It is never installed.
//
// It reads one order in JSON per line of standard input, loads the nodes as the order says, and answers one line each. The whereabouts
// plugin, when it is named, takes the same orders, executed once per call as a runtime does it. What the answers mean for promises is
// for the bench to say.
//
// Start at order, then driver, then fleet (our side) and peer (the other).
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

// options are what the flags say.
type options struct {
	name, kubeconfig, dir, netns string
	nodes                        int
	whereabouts                  string
}

func main() {
	var o options
	flag.StringVar(&o.name, "name", "fleet", "what its nodes are called, with a number behind; the API server sees it as tsunagu-NAME")
	flag.StringVar(&o.kubeconfig, "kubeconfig", "", "how to reach the API server")
	flag.StringVar(&o.dir, "dir", "", "folder for sockets and journals, as /run is")
	flag.StringVar(&o.netns, "netns", "", "a network namespace that stands for all sandboxes; nothing is done in it")
	flag.IntVar(&o.nodes, "nodes", 50, "how many nodes")
	flag.StringVar(&o.whereabouts, "whereabouts", "", "path of the whereabouts CNI plugin, for the other side")
	history := flag.String("judge", "", "judge this history of uses and do nothing else")
	flag.Parse()
	if *history != "" {
		if err := judge(*history, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "tsunagu-fleet:", err)
			os.Exit(1)
		}
		return
	}
	// One collector goes through the heaps of all nodes here and makes calls to any of them wait for it. On a node it has a fiftieth of
	// that to look at, so it runs less often here; GOGC decides if it is set.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "tsunagu-fleet:", err)
		os.Exit(1)
	}
}

// run answers orders until there are no more.
func run(ctx context.Context, o options, in io.Reader, out io.Writer) error {
	drivers := map[string]*driver{}
	f, err := newFleet(ctx, o)
	if err != nil {
		return err
	}
	defer f.stop()
	drivers["tsunagu"] = newDriver(f, o.nodes)
	if o.whereabouts != "" {
		p, err := newPeer(ctx, o)
		if err != nil {
			return err
		}
		drivers["whereabouts"] = newDriver(p, o.nodes)
	}
	lines, answers := bufio.NewScanner(in), json.NewEncoder(out)
	if err := answers.Encode(answer{Word: "ready"}); err != nil {
		return err
	}
	for lines.Scan() {
		var q order
		if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
			return fmt.Errorf("read order %q: %w", lines.Text(), err)
		}
		d := drivers[q.Side]
		if d == nil {
			return fmt.Errorf("order %q is for side %q, which is not here", q.Do, q.Side)
		}
		a, err := d.carryOut(ctx, q)
		if err != nil {
			a.Error = err.Error()
		}
		if err := answers.Encode(a); err != nil {
			return err
		}
	}
	return lines.Err()
}
