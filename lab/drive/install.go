package drive

import (
	"context"
	"path/filepath"
	"time"
)

// pollInterval is how often waiting asks the API server.
const pollInterval = 500 * time.Millisecond

// Manifests are the files of the install, in the order in which a user applies
// them: definitions first, they outlive the install.
func (l Lab) Manifests() []string {
	return []string{
		filepath.Join(l.Root, "deploy", "crds"),
		filepath.Join(l.Root, "deploy", "tsunagu.yaml"),
	}
}

// Install applies the manifests and waits until every node is ready and DNS
// works.
func (l Lab) Install(ctx context.Context, say func(string)) error {
	for _, m := range l.Manifests() {
		say("applying " + relative(l.Root, m))
		if _, err := l.Kubectl(ctx, "apply", "--server-side", "-f", m); err != nil {
			return err
		}
	}
	for _, wait := range [][]string{
		{"rollout", "status", "-n", "tsunagu-system", "daemonset/tsunagu-agent", "--timeout=120s"},
		{"wait", "--for=condition=Ready", "nodes", "--all", "--timeout=120s"},
		{"rollout", "status", "-n", "tsunagu-system", "deployment/tsunagu-controller", "--timeout=120s"},
		{"rollout", "status", "-n", "kube-system", "deployment/coredns", "--timeout=120s"},
	} {
		say("waiting: kubectl " + wait[0] + " " + wait[len(wait)-2])
		if _, err := l.Kubectl(ctx, wait...); err != nil {
			return err
		}
	}
	return nil
}

// Uninstall deletes the install, but not the definitions: with them would go
// the record of who holds which address.
func (l Lab) Uninstall(ctx context.Context) error {
	_, err := l.Kubectl(ctx, "delete", "--ignore-not-found", "-f", l.Manifests()[1])
	return err
}

func relative(root, path string) string {
	if r, err := filepath.Rel(root, path); err == nil {
		return r
	}
	return path
}
