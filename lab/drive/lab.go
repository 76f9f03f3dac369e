// Package drive works a running lab the way a user does: with kubectl, with
// the manifests in deploy/ and with commands run on a node.
//
// It owns the words that the demo, the end-to-end tests and the benchmarks
// share. It does not know how a lab is made (package cluster does), nor
// anything of tsunagu's Go code: what it sees is what a user sees. Start
// reading at Lab.
package drive

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Lab is a lab that `tsunagu lab up` started.
type Lab struct {
	// Root is the folder that holds .lab.
	Root string
	// Name is the lab's name.
	Name string
}

// Kubeconfig is the path of the administrator's kubeconfig.
func (l Lab) Kubeconfig() string { return filepath.Join(l.Root, ".lab", l.Name, "kubeconfig") }

func (l Lab) bin(name string) string { return filepath.Join(l.Root, ".lab", "bin", name) }

// Kubectl runs kubectl and returns what it printed. The error carries the last
// line of standard error.
func (l Lab) Kubectl(ctx context.Context, args ...string) (string, error) {
	return l.kubectl(ctx, nil, args...)
}

func (l Lab) kubectl(ctx context.Context, stdin []byte, args ...string) (string, error) {
	argv := append([]string{"--kubeconfig", l.Kubeconfig()}, args...)
	return run(ctx, stdin, l.bin("kubectl"), argv...)
}

// Apply applies a manifest given as text.
func (l Lab) Apply(ctx context.Context, manifest string) error {
	_, err := l.kubectl(ctx, []byte(manifest), "apply", "-f", "-")
	return err
}

// Get decodes what `kubectl get … -o json` prints.
func (l Lab) Get(ctx context.Context, into any, args ...string) error {
	out, err := l.Kubectl(ctx, append(append([]string{"get"}, args...), "-o", "json")...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(out), into); err != nil {
		return fmt.Errorf("reading kubectl get %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

// PodExec runs a command in a Pod's first container.
func (l Lab) PodExec(ctx context.Context, namespace, pod string, argv ...string) (string, error) {
	return l.Kubectl(ctx, append([]string{"exec", "-n", namespace, pod, "--"}, argv...)...)
}

// Exec runs a command on a node, or on the host outside the cluster ("outside").
func (l Lab) Exec(ctx context.Context, node string, argv ...string) (string, error) {
	return run(ctx, nil, l.labBinary(), append([]string{"exec", "--name", l.Name, "--dir", l.Root, node, "--"}, argv...)...)
}

// Tell gives the lab itself an order: `tsunagu-lab verb --name … args`.
func (l Lab) Tell(ctx context.Context, verb string, args ...string) (string, error) {
	return run(ctx, nil, l.labBinary(), append([]string{verb, "--name", l.Name, "--dir", l.Root}, args...)...)
}

func (l Lab) labBinary() string { return filepath.Join(l.Root, "bin", "tsunagu-lab") }

// Until calls try every interval until it returns nil, and gives its last
// error when ctx ends first.
func Until(ctx context.Context, interval time.Duration, try func(context.Context) error) error {
	var last error
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil && last != nil {
			err = last // this one was only cut short
		}
		last = err
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (gave up: %v)", err, context.Cause(ctx))
		case <-time.After(interval):
		}
	}
}

func run(ctx context.Context, stdin []byte, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = bytes.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	// A command that was cancelled may leave a child that holds the pipes.
	cmd.WaitDelay = 2 * time.Second
	if err := cmd.Run(); err != nil {
		said := strings.TrimSpace(errs.String())
		if said == "" {
			said = strings.TrimSpace(out.String())
		}
		return out.String(), fmt.Errorf("%s %s: %w: %s", filepath.Base(name), strings.Join(args, " "), err, said)
	}
	return out.String(), nil
}

// Told runs kubectl with a manifest and returns what it said on standard
// error: the API server's warnings.
func (l Lab) Told(ctx context.Context, manifest string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, l.bin("kubectl"), append([]string{"--kubeconfig", l.Kubeconfig()}, args...)...)
	cmd.Stdin = strings.NewReader(manifest)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	cmd.WaitDelay = 2 * time.Second
	if err := cmd.Run(); err != nil {
		return errs.String(), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return errs.String(), nil
}
