// Command vm runs Go tests in a virtual machine, for what the kernel of this
// machine lacks: 802.1Q, bridge VLAN filtering, ipvlan, dummy, VRF, bonding,
// netem, Open vSwitch. The machine needs no KVM; its kernel is Debian's, its
// files are this machine's own, seen through 9p under a writable tmpfs.
//
//	go run -C tools ./vm -root ..                        every test behind the build tag vm
//	go run -C tools ./vm -root .. -run 'VLAN' ./attach/kind
//	go run -C tools ./vm -root .. -whole ./kernel/link   all of a package's tests
//	go run -C tools ./vm -root .. -exec 'ip link add d0 type dummy; ip link'
//
// A test that needs such a kernel stands in a file with `//go:build vm`, so it
// does not exist outside. That it did run inside is this command's business: a
// test of such a file that does not pass, or is skipped, fails the run.
//
// It owns the machine and the verdict, and knows nothing of what is tested.
// Start at run; docs/testing.md is for those who write such tests.
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
	"time"
)

type options struct {
	root    string
	match   string
	bench   string
	whole   bool
	exec    string
	timeout time.Duration
	verbose bool
}

func main() {
	var o options
	flag.StringVar(&o.root, "root", "..", "root of the source tree")
	flag.StringVar(&o.match, "run", "", "only tests whose name matches this")
	flag.StringVar(&o.bench, "bench", "", "run the benchmarks behind the tag that match this, and no test")
	flag.BoolVar(&o.whole, "whole", false, "run all tests of the packages, not only those behind the build tag vm")
	flag.StringVar(&o.exec, "exec", "", "run this shell command instead of tests")
	flag.DurationVar(&o.timeout, "timeout", 10*time.Minute, "after which the machine is stopped")
	flag.BoolVar(&o.verbose, "v", false, "show everything the tests print")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "vm:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, packages []string) error {
	root, err := filepath.Abs(o.root)
	if err != nil {
		return err
	}
	m := machine{timeout: o.timeout}
	if m.kernel, err = findKernel(ctx); err != nil {
		return fmt.Errorf("get a kernel: %w", err)
	}
	if m.dir, err = os.MkdirTemp("", "tsunagu-vm-"); err != nil {
		return err
	}
	defer os.RemoveAll(m.dir)
	if o.exec != "" {
		var e echo
		return errors.Join(m.run(ctx, shellJob(root, o.exec), &e), e.err)
	}
	suites, err := discover(ctx, root, o, packages)
	if err != nil {
		return fmt.Errorf("look for tests: %w", err)
	}
	if len(suites) == 0 {
		return fmt.Errorf("no test behind the build tag vm in %v", packages)
	}
	if err := compile(ctx, root, m.dir, suites); err != nil {
		return err
	}
	v := newVerdict(suites, o.verbose || o.bench != "")
	if err := m.run(ctx, testJob(suites, o), v); err != nil {
		return v.during(err)
	}
	return v.conclude(o.bench != "")
}
