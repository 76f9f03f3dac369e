// Command tsunagu-vip keeps the control plane's address on one of its nodes, and an API server within reach of each.
//
// It needs no API server, no Service and no CNI to start, and no credential for any; with --mode=kube-lease and --publish it is given one, because
// that is what they are about. Start at run in agent.go.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/tsunagu-net/tsunagu/kernel/priority"
)

// version is set by the linker.
var version = "dev"

func main() {
	o, err := parse(os.Args[1:], os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		fmt.Fprintln(os.Stderr, "tsunagu-vip:", err)
		os.Exit(2)
	case o.version:
		fmt.Println("tsunagu-vip", version)
		return
	}
	if o.check {
		if err := lookHere(o); err != nil {
			fmt.Fprintln(os.Stderr, "tsunagu-vip:", err)
			os.Exit(1)
		}
		return
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: o.logLevel}))
	if err := priority.Raise(); err != nil {
		log.Warn("a busy machine may be taken for a lost one", "err", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, log); err != nil {
		log.Error("tsunagu-vip ends", "err", err)
		os.Exit(1)
	}
}
