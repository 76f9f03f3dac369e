package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/tsunagu-net/tsunagu/lab/build"
)

// Build makes the programs: Kubernetes from the lab's cache, the product's afresh from the tree, as its Makefile does it.
func Build(ctx context.Context, o Options, work string) error {
	if _, err := os.Stat(filepath.Join(plugins, "macvlan")); err != nil {
		return fmt.Errorf("the reference plugins are missing (Debian: containernetworking-plugins): %w", err)
	}
	kubernetes, err := build.Sets[0].Build(ctx, filepath.Join(o.Root, "lab"))
	if err != nil {
		return err
	}
	product := filepath.Join(work, "bin")
	if err := os.MkdirAll(product, 0o755); err != nil {
		return err
	}
	names := []string{"tsunagu-cni", "tsunagu-agent"}
	if o.Side == Peer {
		names = nil
	}
	if o.wants("ipam") && o.Side == "" {
		names = append(names, "tsunagu-fleet")
	}
	if o.wants("webhook") && o.Side == "" {
		names = append(names, "tsunagu-controller")
	}
	for _, name := range names {
		if err := goTool(ctx, o.Root, "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", product+"/", "./cmd/"+name); err != nil {
			return fmt.Errorf("building %s: %w", name, err)
		}
	}
	if o.wants("packets") && o.Side == "" {
		if err := goTool(ctx, o.Root, "test", "-c", "-o", filepath.Join(product, packetsTest), "./overlay"); err != nil {
			return fmt.Errorf("building the benchmark of packets: %w", err)
		}
	}
	return os.Symlink(kubernetes, filepath.Join(work, "kubernetes"))
}

func goTool(ctx context.Context, dir string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// BuiltIn gives the programs that Build made for a Box's working directory.
func BuiltIn(work string) (Programs, error) {
	kubernetes, err := os.Readlink(filepath.Join(work, "kubernetes"))
	if err != nil {
		return Programs{}, err
	}
	return Programs{Kubernetes: kubernetes, Product: filepath.Join(work, "bin")}, nil
}
