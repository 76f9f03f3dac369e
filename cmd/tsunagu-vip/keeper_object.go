package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/tsunagu-net/tsunagu/vip"
	"github.com/tsunagu-net/tsunagu/vip/control"
	"github.com/tsunagu-net/tsunagu/vip/record"
)

// byObject is a keeper: who has a Lease of the API server's.
type byObject struct{ *vip.Holder }

// Look is of keeper.
func (k byObject) Look(ctx context.Context) (control.Status, error) {
	s, err := k.Status(ctx)
	if err != nil {
		return control.Status{}, err
	}
	v := control.Status{Mode: byObjectMode, Node: s.Self, Owns: s.Owns, Owner: s.Holder, Epoch: uint64(s.Transitions),
		Members: []control.Node{{Address: s.Self, Self: true, Ready: s.Ready, Weight: 1}}}
	if s.Holder != "" && s.Holder != s.Self {
		v.Members = append(v.Members, control.Node{Address: s.Holder, SilentMS: -1})
	}
	return v, nil
}

// object is what --mode=kube-lease is told.
type object struct {
	record.Config
	name        string
	kubeconfigs []string
}

// objectFlags are those of --mode=kube-lease. What comes back settles them when all flags are read, with an error that names the flag.
func objectFlags(f *flag.FlagSet, o *object, name *string) func() error {
	f.StringVar(&o.name, "kube-lease-name", "kube-system/plndr-cp-lock", "Lease, namespace/name; the default is kube-vip's")
	files := f.String("kube-lease-kubeconfig", strings.Join(kubeconfigs, ","), "comma list of files; the first that exists is used, once it is there")
	f.DurationVar(&o.Duration, "kube-lease-duration", 5*time.Second, "after how long a node that does not renew the Lease loses it; whole seconds")
	f.DurationVar(&o.Retry, "kube-lease-retry", time.Second, "time between two requests")
	return func() error {
		if _, err := leaseNamed(o.name, credential{}); err != nil {
			return fmt.Errorf("--kube-lease-name: %w", err)
		}
		if o.kubeconfigs = split(*files); len(o.kubeconfigs) == 0 {
			return errors.New("--kube-lease-kubeconfig: no file is named")
		}
		o.Self = *name
		if err := o.Check(); err != nil {
			return fmt.Errorf("--kube-lease-duration, --kube-lease-retry: %w", err)
		}
		return nil
	}
}

// through is how requests of this program reach API servers.
func (n *node) through(kubeconfigs []string) credential {
	c := credential{files: kubeconfigs}
	if n.options.proxy != "" {
		c.through = reachable(n.options.proxy)
	}
	return c
}

// holder takes part in who has the Lease.
func (n *node) holder() (keeper, error) {
	records, err := leaseNamed(n.object.name, n.through(n.object.kubeconfigs))
	if err != nil {
		return nil, err
	}
	h, err := vip.NewHolder(vip.HolderConfig{Config: n.object.Config, Records: records, Announcer: counted{n.segment, n.counts}, Now: now,
		Log: n.log.With("lease", records.namespace+"/"+records.name)})
	if err != nil {
		return nil, err
	}
	return byObject{h}, nil
}
