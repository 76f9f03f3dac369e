// Command tsunagu-vip-bench measures how long a client has no answer from the control plane's address when its owner is lost, and whether
// two nodes ever answer at once: tsunagu-vip beside Debian's keepalived, in turns, on three nodes in network namespaces. It is for
// `make bench` only, needs root, and leaves nothing behind.
//
// Start at contenders (who), events (what happens) and run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/tsunagu-net/tsunagu/kernel/priority"
)

type options struct {
	program string
	rounds  int
	only    string
	sides   string
	check   bool
	keep    bool
}

func main() {
	var o options
	flag.StringVar(&o.program, "program", "bin/tsunagu-vip", "the tsunagu-vip to measure")
	flag.IntVar(&o.rounds, "rounds", 5, "how often each side meets each event")
	flag.StringVar(&o.only, "only", "", "comma list of events: "+eventNames())
	flag.StringVar(&o.sides, "sides", "", "comma list of sides: "+sideNames())
	flag.BoolVar(&o.check, "check", false, "exit with code 2 when a target is missed")
	flag.BoolVar(&o.keep, "v", false, "print each run")
	flag.Parse()
	// The client must not be what is late; both sides' processes inherit it.
	if err := priority.Raise(); err != nil {
		fmt.Fprintln(os.Stderr, "bench: a busy machine will show in the figures:", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	met, err := run(ctx, o, os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, context.Canceled):
		os.Exit(130)
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	case o.check && !met:
		os.Exit(2)
	}
}

func wanted(list, name string) bool {
	return list == "" || strings.Contains(","+list+",", ","+name+",")
}
