// Tsunagu-bench measures tsunagu beside the reference CNI plugins, in turns, and prints ratios. It needs root, and leaves nothing
// behind. Exit codes: 0, 1 when it could not measure, 2 when -check is given and a target was missed.
//
// It runs twice: outside it builds the programs, inside (bench.Box) it measures.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/tsunagu-net/tsunagu/lab/bench"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o, err := bench.ParseOptions(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	code := 1
	if err == nil {
		o.Root, err = filepath.Abs(o.Root)
	}
	if err == nil {
		if o.Only == "ready" {
			code, err = ready(ctx, o)
		} else if work, in := bench.Inside(); in {
			o.Work = work
			code, err = inside(ctx, o)
		} else {
			code, err = outside(ctx, o)
		}
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(max(code, 1))
	}
	os.Exit(code)
}

// ready measures in a lab, whose nodes are Boxes of their own.
func ready(ctx context.Context, o bench.Options) (int, error) {
	met, err := bench.PodsReady(ctx, o, os.Stdout, os.Stderr)
	if err == nil && o.Check && !met {
		return 2, errors.New("a target was missed")
	}
	return 0, err
}

// outside builds, and removes what is left on disk.
func outside(ctx context.Context, o bench.Options) (int, error) {
	if os.Getuid() != 0 {
		return 1, errors.New("namespaces of its own take root: try sudo")
	}
	work, lock, err := bench.WorkDir()
	if err != nil {
		return 1, err
	}
	defer lock.Close()
	if o.Keep {
		defer fmt.Fprintf(os.Stderr, "logs are in %s until the next run\n", work)
	} else {
		defer os.RemoveAll(work)
	}
	fmt.Fprintln(os.Stderr, "building the programs (Kubernetes takes some minutes once) …")
	if err := bench.Build(ctx, o, work); err != nil {
		return 1, err
	}
	return bench.Box(ctx, work)
}

func inside(ctx context.Context, o bench.Options) (int, error) {
	met, err := bench.Run(ctx, o, os.Stdout, os.Stderr)
	switch {
	case ctx.Err() != nil:
		return 130, errors.New("interrupted")
	case err != nil:
		return 1, err
	case o.Check && !met:
		return 2, nil
	}
	return 0, nil
}
