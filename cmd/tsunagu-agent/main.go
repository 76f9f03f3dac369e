// Command tsunagu-agent runs on every node: it attaches the node's Pods to their networks, hands out their addresses, and keeps the way
// to the other nodes.
//
// Start at run in agent.go, which puts the rooms together.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"k8s.io/klog/v2"
)

// version is set by the linker.
var version = "dev"

func main() {
	o, err := parse(os.Args[1:], os.Getenv, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		fmt.Fprintln(os.Stderr, "tsunagu-agent:", err)
		os.Exit(2)
	case o.version:
		fmt.Println("tsunagu-agent", version)
		return
	}
	// The live heap is a few MiB: collecting it often costs little, and memory on every node costs much. Both yield to GOGC and
	// GOMEMLIMIT of the environment.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(40)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(96 << 20)
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: o.logLevel}))
	klog.SetSlogLogger(log.With("from", "client-go"))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, log); err != nil {
		log.Error("tsunagu-agent ends", "err", err)
		os.Exit(1)
	}
}
