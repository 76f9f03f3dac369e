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
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/ptr"

	"github.com/tsunagu-net/tsunagu/vip/record"
)

// kubeconfigs are those of control-plane nodes whose users may write Leases of kube-system from the first second on (the API server makes their
// roles itself), on the node where kubeadm init runs and on those that join, and of K3s' and RKE2's servers.
var kubeconfigs = []string{"/etc/kubernetes/controller-manager.conf", "/var/lib/rancher/k3s/server/cred/controller.kubeconfig", "/var/lib/rancher/rke2/server/cred/controller.kubeconfig"}

// credential is how API servers are asked.
type credential struct {
	// files are kubeconfigs; the first that there is counts.
	files []string
	// through leads to any API server that works; "" for the one that the file names.
	through string

	config *rest.Config
	from   string // file and its time
}

// read reads the file, again when it has changed: certificates are renewed in it.
func (c *credential) read() (changed bool, err error) {
	for _, path := range c.files {
		info, err := os.Stat(path)
		if err != nil {
			continue
		}
		from := path + " " + info.ModTime().String()
		if from == c.from {
			return false, nil
		}
		config, err := clientcmd.BuildConfigFromFlags("", path)
		if err != nil {
			return false, fmt.Errorf("read kubeconfig %s: %w", path, err)
		}
		if c.through != "" {
			// Whichever API server is behind it: all have this name in their certificates.
			config.Host, config.ServerName = "https://"+c.through, "kubernetes"
		}
		config.QPS, config.ContentType = -1, "application/json"
		c.config, c.from = config, from
		return true, nil
	}
	return false, fmt.Errorf("no kubeconfig is there (yet): %s", strings.Join(c.files, ", "))
}

// leaseObject is a record that is kept in a Lease (coordination.k8s.io/v1).
type leaseObject struct {
	credential
	namespace, name string

	client client.LeaseInterface
	seen   *coordination.Lease
}

// leaseNamed reads namespace/name, or a name in kube-system.
func leaseNamed(text string, by credential) (*leaseObject, error) {
	space, name, ok := strings.Cut(text, "/")
	if !ok {
		space, name = "kube-system", text
	}
	if space == "" || name == "" || strings.Contains(name, "/") {
		return nil, fmt.Errorf("%q is not namespace/name", text)
	}
	return &leaseObject{credential: by, namespace: space, name: name}, nil
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
	s := l.Spec
	return record.Record{Version: l.ResourceVersion, Holder: ptr.Deref(s.HolderIdentity, ""), Duration: time.Duration(ptr.Deref(s.LeaseDurationSeconds, 0)) * time.Second,
		Transitions: int(ptr.Deref(s.LeaseTransitions, 0)), Acquired: ptr.Deref(s.AcquireTime, metav1.MicroTime{}).Time, Renewed: ptr.Deref(s.RenewTime, metav1.MicroTime{}).Time}
}

func (o *leaseObject) connect() error {
	changed, err := o.read()
	if err != nil || !changed {
		return err
	}
	leases, err := client.NewForConfig(o.config)
	if err != nil {
		return fmt.Errorf("use kubeconfig %s: %w", o.from, err)
	}
	o.client = leases.Leases(o.namespace)
	return nil
}

// reachable is an address that a program on this node connects to for a listener.
func reachable(listener string) string {
	host, port, err := net.SplitHostPort(listener)
	if err != nil || host != "" && !net.ParseIP(host).IsUnspecified() {
		return listener
	}
	return net.JoinHostPort("127.0.0.1", port)
}
