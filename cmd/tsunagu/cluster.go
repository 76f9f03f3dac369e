package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/pflag"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // kubeconfigs with an auth provider
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/tsunagu-net/tsunagu/doctor"
	"github.com/tsunagu-net/tsunagu/kube/snapshot"
)

// cluster is which cluster a command speaks to, as its flags say.
type cluster struct {
	kubeconfig, context, namespace string
	timeout                        time.Duration
}

func (c *cluster) flags(f *pflag.FlagSet) {
	f.StringVar(&c.kubeconfig, "kubeconfig", "", "kubeconfig file (default: $KUBECONFIG, then ~/.kube/config, then the Pod's service account)")
	f.StringVar(&c.context, "context", "", "context of the kubeconfig")
	f.StringVarP(&c.namespace, "namespace", "n", "", "namespace")
	f.DurationVar(&c.timeout, "timeout", 30*time.Second, "how long to wait for the API server")
}

func (c *cluster) loader() clientcmd.ClientConfig {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = c.kubeconfig
	overrides := &clientcmd.ConfigOverrides{CurrentContext: c.context}
	overrides.Context.Namespace = c.namespace
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides)
}

// config reads the kubeconfig.
func (c *cluster) config() (*rest.Config, error) {
	const hint = "give --kubeconfig or set KUBECONFIG; a lab's is .lab/<name>/kubeconfig, and tsunagu lab up makes one"
	cfg, err := c.loader().ClientConfig()
	switch {
	case err == nil:
		return cfg, nil
	case clientcmd.IsEmptyConfig(err), errors.Is(err, rest.ErrNotInCluster):
		return nil, &problem{exitUnreachable, errors.New("no cluster is configured"), hint}
	}
	return nil, &problem{exitUnreachable, fmt.Errorf("read the kubeconfig: %w", err), hint}
}

// home is the namespace that names without one belong to.
func (c *cluster) home() string {
	namespace, _, err := c.loader().Namespace()
	if err != nil || namespace == "" {
		return "default"
	}
	return namespace
}

func (c *cluster) reader() (*snapshot.Reader, error) {
	cfg, err := c.config()
	if err != nil {
		return nil, err
	}
	cfg.Timeout = c.timeout
	cfg.UserAgent = "tsunagu/" + version
	cfg.WarningHandler = rest.NoWarnings{}
	return snapshot.NewReader(cfg)
}

// snapshot reads the named parts of the cluster, all without a name, and says
// so when it takes long.
func (c *cluster) snapshot(ctx context.Context, t terminal, parts ...doctor.Part) (*doctor.Snapshot, *snapshot.Reader, error) {
	reader, err := c.reader()
	if err != nil {
		return nil, nil, err
	}
	p := t.watch("asking the API server")
	defer p.end()
	names := make([]string, len(parts))
	for i, part := range parts {
		names[i] = string(part)
	}
	raw, err := reader.Snapshot(ctx, func(resource string, n int) { p.now(fmt.Sprintf("reading %s, %d so far", resource, n)) }, names...)
	if err != nil {
		return nil, nil, err
	}
	return judged(raw), reader, nil
}

// mention says on stderr which lists an answer had to do without.
func (t terminal) mention(s *doctor.Snapshot) {
	for _, part := range sortedKeys(s.Unread) {
		fmt.Fprintf(t.err, "not shown: %s, %s\n", part, s.Unread[part])
	}
}

// judged turns what kube read into what the doctor looks at: neither room
// knows the other.
func judged(raw *snapshot.Snapshot) *doctor.Snapshot {
	s := &doctor.Snapshot{
		Time:        raw.Time,
		Nodes:       raw.Nodes,
		Namespaces:  raw.Namespaces,
		Pods:        raw.Pods,
		Events:      raw.Events,
		DaemonSets:  raw.DaemonSets,
		Deployments: raw.Deployments,
		CRDs:        raw.CRDs,
		Definitions: raw.Definitions,
		Networks:    raw.Networks,
		Pools:       raw.Pools,
		OnNodes:     raw.OnNodes,
		Blocks:      raw.Blocks,
		Addresses:   raw.Addresses,
		Webhooks:    raw.Webhooks,
		Services:    raw.Services,
		Policies:    raw.NetworkPolicies,
		Unread:      map[doctor.Part]string{},
	}
	for _, secret := range raw.Secrets {
		s.Certificates = append(s.Certificates, doctor.Certificate{Namespace: secret.Namespace, Name: secret.Name, Serving: secret.Data.Serving})
	}
	for _, e := range append(slices.Clone(raw.Events), raw.ScaleEvents...) {
		if e.Reason == "NotTriggerScaleUp" {
			s.ScaleEvents = append(s.ScaleEvents, e)
		}
	}
	for _, text := range raw.Texts {
		s.Texts = append(s.Texts, doctor.Text(text))
	}
	for resource, why := range raw.Unread {
		s.Unread[doctor.Part(resource)] = why
	}
	return s
}
