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
	for _, name := range names {
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", product+"/", "./cmd/"+name)
		cmd.Dir = o.Root
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("building %s: %w\n%s", name, err, strings.TrimSpace(string(out)))
		}
	}
	return os.Symlink(kubernetes, filepath.Join(work, "kubernetes"))
}

// BuiltIn gives the programs that Build made for a Box's working directory.
func BuiltIn(work string) (Programs, error) {
	kubernetes, err := os.Readlink(filepath.Join(work, "kubernetes"))
	if err != nil {
		return Programs{}, err
	}
	return Programs{Kubernetes: kubernetes, Product: filepath.Join(work, "bin")}, nil
}
