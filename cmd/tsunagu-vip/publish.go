package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	core "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/tsunagu-net/tsunagu/vip/record"
)

// How often the owner looks whether there is something to write, and how often it writes when there is not. Readers may take an owner that has not
// written for publishedFor for gone.
const (
	publishEvery = 2 * time.Second
	publishAgain = 10 * time.Second
	publishedFor = 30 * time.Second
)

// published is what --publish is told.
type published struct {
	name        string
	kubeconfigs []string
}

func publishFlags(f *flag.FlagSet, p *published) func() error {
	f.StringVar(&p.name, "publish", "", "Lease, namespace/name such as kube-system/tsunagu-vip, that says who has the address, with an Event for each move; for people and monitors only (default: none)")
	files := f.String("publish-kubeconfig", strings.Join(kubeconfigs, ","), "comma list of files; the first that exists is used, once it is there")
	return func() error {
		p.kubeconfigs = split(*files)
		if p.name == "" {
			return nil
		}
		if _, err := leaseNamed(p.name, credential{}); err != nil {
			return fmt.Errorf("--publish: %w", err)
		}
		if len(p.kubeconfigs) == 0 {
			return errors.New("--publish-kubeconfig: no file is named")
		}
		return nil
	}
}

// publisher says in the cluster who has the address. Nothing depends on it: it is asked by nobody here, and what cannot be written is written later.
type publisher struct {
	*node
	lease *leaseObject
	name  string
	wrote time.Time
	said  string
}

// publish runs until ctx ends.
func (n *node) publish(ctx context.Context) {
	lease, err := leaseNamed(n.published.name, n.through(n.published.kubeconfigs))
	if err != nil {
		n.log.Error("publish who has the address", "err", err)
		return
	}
	p := publisher{node: n, lease: lease, name: n.nodeName}
	tick := time.NewTicker(publishEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		if n.counts.owns.Load() {
			p.tell(p.write(ctx))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// tell says once what does not work.
func (p *publisher) tell(err error) {
	now := ""
	if err != nil {
		now = err.Error()
	}
	if now != p.said && err != nil {
		p.log.Warn("publish who has the address", "err", err)
	}
	p.said = now
}

func (p *publisher) write(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, publishEvery)
	defer cancel()
	have := p.lease.Read(ctx)
	if have.Err != nil {
		return have.Err
	}
	was := have.Record.Holder
	if was == p.name && time.Since(p.wrote) < publishAgain {
		return nil
	}
	now := time.Now()
	next := record.Record{Version: have.Record.Version, Holder: p.name, Duration: publishedFor, Renewed: now, Acquired: now}
	if next.Transitions = have.Record.Transitions; was == p.name {
		next.Acquired = have.Record.Acquired
	} else if was != "" {
		next.Transitions++
	}
	a := p.lease.Write(ctx, next)
	if a.Err != nil || a.Stale { // somebody else has written: look again
		return a.Err
	}
	if p.wrote = now; was == p.name {
		return nil
	}
	return p.event(ctx, was)
}

// event tells of a move.
func (p *publisher) event(ctx context.Context, was string) error {
	events, err := core.NewForConfig(p.lease.config)
	if err != nil {
		return fmt.Errorf("use the kubeconfig for Events: %w", err)
	}
	text := fmt.Sprintf("%s is on %s", join(p.addresses), p.name)
	if was != "" {
		text += ", before on " + was
	}
	now := metav1.Now()
	_, err = events.Events(p.lease.namespace).Create(ctx, &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{GenerateName: p.lease.name + ".", Namespace: p.lease.namespace},
		InvolvedObject: corev1.ObjectReference{APIVersion: "coordination.k8s.io/v1", Kind: "Lease", Namespace: p.lease.namespace, Name: p.lease.name, UID: p.lease.seen.UID},
		Type:           corev1.EventTypeNormal, Reason: "ControlPlaneAddressMoved", Message: text, FirstTimestamp: now, LastTimestamp: now, Count: 1,
		Source: corev1.EventSource{Component: "tsunagu-vip", Host: p.name}, ReportingController: "tsunagu-vip", ReportingInstance: p.name,
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("write an Event: %w", err)
	}
	return nil
}
