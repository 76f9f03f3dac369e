// Command tsunagu is what people type: it shows what a cluster's networks,
// addresses and agents are doing, finds what is wrong, and hands `lab` to
// tsunagu-lab. As kubectl-tsunagu on the PATH it is `kubectl tsunagu`.
//
// It owns flags, words and tables. What it says follows from one snapshot
// (package kube/snapshot reads it, package doctor judges it). It changes nothing
// in a cluster but addresses that people import, reserve or release (package
// kube/ledger writes them, package ipam says how). The rules of output are at the top of output.go, exit codes in
// exit.go; start reading at newRoot.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// version is set by the linker.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args, terminal{out: os.Stdout, err: os.Stderr}))
}
