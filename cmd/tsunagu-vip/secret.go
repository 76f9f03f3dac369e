package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/tsunagu-net/tsunagu/vip/datagram"
)

// secrets are files that all control-plane nodes of a cluster have in common from before their first static Pod, and nobody else has:
// the key of service-account tokens, of kubeadm, K3s and RKE2.
var secrets = []string{"/etc/kubernetes/pki/sa.key", "/var/lib/rancher/k3s/server/tls/service.key", "/var/lib/rancher/rke2/server/tls/service.key"}

// secret waits for one of the files and makes the nodes' common key of it.
func secret(ctx context.Context, files []string, log *slog.Logger) (datagram.Key, error) {
	for told := false; ; told = true {
		for _, path := range files {
			raw, err := os.ReadFile(path)
			if errors.Is(err, fs.ErrNotExist) || err == nil && len(raw) == 0 {
				continue
			}
			if err != nil {
				return datagram.Key{}, fmt.Errorf("read the nodes' common secret: %w", err)
			}
			key, err := datagram.NewKey(raw)
			if err != nil {
				return key, fmt.Errorf("%s: %w", path, err)
			}
			log.Info("signs by the cluster's key", "file", path, "cluster", key.String())
			return key, nil
		}
		if !told {
			log.Warn("waits for the nodes' common secret", "files", strings.Join(files, " or "))
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return datagram.Key{}, ctx.Err()
		}
	}
}
