// Tsunagu-demo installs tsunagu in a running lab the way a user does, attaches
// Pods to several networks, proves that packets arrive, and prints what it
// saw. It ends with exit code 0 only when every proof held. Start reading at
// the list of proofs in demo.go.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/tsunagu-net/tsunagu/lab/drive"
)

func main() {
	root := flag.String("root", ".", "the folder that holds .lab, bin and deploy")
	name := flag.String("name", "lab", "the lab's name")
	timeout := flag.Duration("timeout", 5*time.Minute, "how long the whole demo may take")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeoutCause(ctx, *timeout, fmt.Errorf("the demo's %s are over", *timeout))
	defer cancel()

	dir, err := filepath.Abs(*root)
	if err == nil {
		d := &demo{lab: drive.Lab{Root: dir, Name: *name}, out: os.Stdout, start: time.Now()}
		err = d.run(ctx)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "demo: %v\n", err)
		fmt.Fprintf(os.Stderr, "hint: the lab is still running; `bin/tsunagu lab status` and `bin/tsunagu doctor` tell more, `make demo-down` removes it\n")
		os.Exit(1)
	}
}
