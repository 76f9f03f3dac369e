package kube

import (
	"context"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"

	"github.com/tsunagu-net/tsunagu/attach/install"
)

// Presence follows the agent's own DaemonSet and its namespace and tells an install.Life about them.
//
// It must be a watch that is open already when the objects go: whoever deletes the install deletes the agent's permissions with it, and
// an open watch outlives those. While the API server does not answer, what was seen last stands.
type Presence struct {
	Client    metadata.Interface
	Namespace string
	DaemonSet string
	Life      *install.Life
	Log       *slog.Logger
}

var (
	daemonSets = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "daemonsets"}
	namespaces = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
)

// Run follows both objects until ctx ends; that is not an error.
func (p Presence) Run(ctx context.Context) error {
	var both errgroup.Group
	both.Go(func() error {
		p.follow(ctx, p.Client.Resource(daemonSets).Namespace(p.Namespace), p.DaemonSet, p.Life.SawDaemonSet)
		return nil
	})
	both.Go(func() error {
		p.follow(ctx, p.Client.Resource(namespaces), p.Namespace, p.Life.SawNamespace)
		return nil
	})
	return both.Wait()
}

// Ask looks once more at the DaemonSet, for an agent that is being stopped and whose watch may be a moment late. No answer changes
// nothing.
func (p Presence) Ask(ctx context.Context) {
	if seen, _, err := look(ctx, p.Client.Resource(daemonSets).Namespace(p.Namespace), p.DaemonSet); err == nil {
		p.Life.SawDaemonSet(seen)
	}
}

func (p Presence) follow(ctx context.Context, objects metadata.ResourceInterface, name string, saw func(install.Presence)) {
	const most = 30 * time.Second
	wait := time.Second
	for ctx.Err() == nil {
		began := time.Now()
		err := watchOne(ctx, objects, name, saw)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			p.Log.Debug("watch whether the agent is still wanted", "object", name, "err", err)
		}
		if time.Since(began) > most { // it worked for a while
			wait = time.Second
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, most)
	}
}

// watchOne sees an object as it is, then its changes, until the watch ends.
func watchOne(ctx context.Context, objects metadata.ResourceInterface, name string, saw func(install.Presence)) error {
	seen, version, err := look(ctx, objects, name)
	if err != nil {
		return err
	}
	saw(seen)
	w, err := objects.Watch(ctx, metav1.ListOptions{
		FieldSelector:   fields.OneTermEqualSelector("metadata.name", name).String(),
		ResourceVersion: version,
	})
	if err != nil {
		return err
	}
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, open := <-w.ResultChan():
			if !open {
				return nil
			}
			if e.Type == watch.Error {
				return apierrors.FromObject(e.Object)
			}
			tell(e, saw)
		}
	}
}

func tell(e watch.Event, saw func(install.Presence)) {
	switch o, ok := e.Object.(metav1.Object); {
	case e.Type == watch.Deleted:
		saw(install.Leaving)
	case ok && (e.Type == watch.Added || e.Type == watch.Modified):
		saw(presence(o))
	}
}

// look reads an object's presence and the version to watch from, "" for the newest.
func look(ctx context.Context, objects metadata.ResourceInterface, name string) (install.Presence, string, error) {
	o, err := objects.Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return install.Leaving, "", nil
	case err != nil:
		return install.Unknown, "", err
	}
	return presence(o), o.ResourceVersion, nil
}

func presence(o metav1.Object) install.Presence {
	if o.GetDeletionTimestamp() != nil {
		return install.Leaving
	}
	return install.Present
}
