package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	coordination "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	client "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/tsunagu-net/tsunagu/vip/record"
)

// kubeconfigs are those of control-plane nodes whose users may write Leases of kube-system from the first second on (the API server makes their
// roles itself), on the node where kubeadm init runs and on those that join, and of K3s' and RKE2's servers.
var kubeconfigs = []string{"/etc/kubernetes/controller-manager.conf", "/var/lib/rancher/k3s/server/cred/controller.kubeconfig", "/var/lib/rancher/rke2/server/cred/controller.kubeconfig"}

// leaseObject is a record that is kept in a Lease (coordination.k8s.io/v1).
type leaseObject struct {
	files           []string
	namespace, name string
	// through leads to any API server that works; "" for the one that the file names.
	through string

	client client.LeaseInterface
	from   string // file and its time
	seen   *coordination.Lease
}

// Read is of vip.Records.
func (o *leaseObject) Read(ctx context.Context) record.Answer {
	if err := o.connect(); err != nil {
		return record.Answer{Err: err}
	}
	l, err := o.client.Get(ctx, o.name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		o.seen = nil
		return record.Answer{}
	}
	if err != nil {
		return record.Answer{Err: fmt.Errorf("read Lease %s/%s: %w", o.namespace, o.name, err)}
	}
	o.seen = l
	return record.Answer{Record: recordOf(l)}
}

// Write is of vip.Records.
func (o *leaseObject) Write(ctx context.Context, r record.Record) record.Answer {
	if err := o.connect(); err != nil {
		return record.Answer{Err: err}
	}
	l := &coordination.Lease{}
	if o.seen != nil { // what others keep in it stays
		l = o.seen.DeepCopy()
	}
	l.Namespace, l.Name, l.ResourceVersion = o.namespace, o.name, r.Version
	seconds, transitions := int32(r.Duration/time.Second), int32(r.Transitions)
	l.Spec.HolderIdentity, l.Spec.LeaseDurationSeconds, l.Spec.LeaseTransitions = &r.Holder, &seconds, &transitions
	l.Spec.RenewTime = &metav1.MicroTime{Time: r.Renewed}
	if l.Spec.AcquireTime = nil; !r.Acquired.IsZero() {
		l.Spec.AcquireTime = &metav1.MicroTime{Time: r.Acquired}
	}
	var err error
	if r.Version == "" {
		l.UID = ""
		l, err = o.client.Create(ctx, l, metav1.CreateOptions{})
	} else {
		l, err = o.client.Update(ctx, l, metav1.UpdateOptions{})
	}
	switch {
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err), apierrors.IsNotFound(err) && r.Version != "":
		return record.Answer{Stale: true}
	case err != nil:
		return record.Answer{Err: fmt.Errorf("write Lease %s/%s: %w", o.namespace, o.name, err)}
	}
	o.seen = l
	return record.Answer{Record: recordOf(l)}
}

func recordOf(l *coordination.Lease) record.Record {
	r := record.Record{Version: l.ResourceVersion}
	if s := l.Spec; true {
		if s.HolderIdentity != nil {
			r.Holder = *s.HolderIdentity
		}
		if s.LeaseDurationSeconds != nil {
			r.Duration = time.Duration(*s.LeaseDurationSeconds) * time.Second
		}
		if s.LeaseTransitions != nil {
			r.Transitions = int(*s.LeaseTransitions)
		}
		if s.AcquireTime != nil {
			r.Acquired = s.AcquireTime.Time
		}
		if s.RenewTime != nil {
			r.Renewed = s.RenewTime.Time
		}
	}
	return r
}

// connect reads the first file that there is, again when it has changed: certificates are renewed in it.
func (o *leaseObject) connect() error {
	for _, path := range o.files {
		info, err := os.Stat(path)
		if err != nil {
			continue
		}
		from := path + " " + info.ModTime().String()
		if from == o.from {
			return nil
		}
		c, err := clientcmd.BuildConfigFromFlags("", path)
		if err != nil {
			return fmt.Errorf("read kubeconfig %s: %w", path, err)
		}
		if o.through != "" {
			// Whichever API server is behind it: all have this name in their certificates.
			c.Host, c.ServerName = "https://"+o.through, "kubernetes"
		}
		c.QPS, c.ContentType = -1, "application/json"
		leases, err := client.NewForConfig(c)
		if err != nil {
			return fmt.Errorf("use kubeconfig %s: %w", path, err)
		}
		o.client, o.from = leases.Leases(o.namespace), from
		return nil
	}
	return fmt.Errorf("no kubeconfig is there (yet): %s", strings.Join(o.files, ", "))
}

// reachable is an address that a program on this node connects to for a listener.
func reachable(listener string) string {
	host, port, err := net.SplitHostPort(listener)
	if err != nil || host != "" && !net.ParseIP(host).IsUnspecified() {
		return listener
	}
	return net.JoinHostPort("127.0.0.1", port)
}
