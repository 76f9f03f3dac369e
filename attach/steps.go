package attach

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	types100 "github.com/containernetworking/cni/pkg/types/100"

	"github.com/tsunagu-net/tsunagu/attach/chained"
	"github.com/tsunagu-net/tsunagu/attach/delegate"
	"github.com/tsunagu-net/tsunagu/attach/kind"
)

// Chained carries out plugins behind the first of a list that are built in (chained.Runner).
type Chained interface {
	Add(context.Context, chained.Call, chained.Spec) (kind.Wired, json.RawMessage, error)
	Del(context.Context, chained.Call, chained.Spec, json.RawMessage) error
	Check(context.Context, chained.Call, chained.Spec, json.RawMessage) error
}

// Delegates executes plugins of others (delegate.Runner).
type Delegates interface {
	Add(context.Context, delegate.Call) (*types100.Result, error)
	Del(context.Context, delegate.Call) error
	Check(context.Context, delegate.Call) error
	Status(context.Context, delegate.Call) error
	GC(context.Context, delegate.Call, []delegate.Attachment) error
	Device(path string) (json.RawMessage, error)
	ForgetDevice(path string) error
}

// Step is one plugin behind the first of a list, or the first one when it is not built in.
type Step struct {
	// Type is the plugin's name, Raw its configuration as it was written.
	Type string          `json:"type"`
	Raw  json.RawMessage `json:"config"`
	// Foreign tells that a plugin of others is executed, Head that it makes the interface.
	Foreign bool `json:"foreign,omitempty"`
	Head    bool `json:"head,omitempty"`
	// Chained is Raw, read, when the step is carried out here.
	Chained chained.Spec `json:"-"`
}

// stepRecord is what is kept of a step from before it is carried out.
type stepRecord struct {
	Step
	// State is what the plugin wants to know again; nil until it is done.
	State json.RawMessage `json:"state,omitempty"`
}

// chainRecord is what is kept of the steps on one interface. DEL and CHECK need nothing else, whatever becomes of the definition.
type chainRecord struct {
	// Network and Name are the interface's network and the name in its configuration, Version its cniVersion.
	Network string `json:"network"`
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	NoCheck bool   `json:"noCheck,omitempty"`
	NoGC    bool   `json:"noGC,omitempty"`
	// Runtime is what the Pod asks of built-in steps, Asked what it asks of plugins of others.
	Runtime chained.Runtime `json:"runtime,omitzero"`
	Asked   delegate.Asked  `json:"asked,omitzero"`
	Steps   []stepRecord    `json:"steps"`
	// Giver is the ipam plugin of others, nil when addresses are given here.
	Giver *Step `json:"giver,omitempty"`
	// Result is what the last plugin gave; nil until all are done, and where no plugin of others is among them.
	Result json.RawMessage `json:"result,omitempty"`
	// Device is what a plugin told of the device.
	Device json.RawMessage `json:"device,omitempty"`
}

// foreign tells whether a plugin of others is among the steps.
func (c chainRecord) foreign() bool {
	return slices.ContainsFunc(c.Steps, func(s stepRecord) bool { return s.Foreign })
}

// headed tells whether a plugin of others made the interface.
func (c chainRecord) headed() bool { return len(c.Steps) > 0 && c.Steps[0].Head }

// chainsOf are the chains of a plan, before anything of them is done, by interface.
func chainsOf(plan []planned, r *request, pod Pod) map[string]chainRecord {
	all := map[string]chainRecord{}
	for _, one := range plan {
		if len(one.net.Steps) == 0 && one.net.Giver == nil {
			continue
		}
		c := chainRecord{Network: one.net.Ref, Name: one.net.Name, Version: one.net.Version, NoCheck: one.net.NoCheck, NoGC: one.net.NoGC, Runtime: one.runtime(), Giver: one.net.Giver}
		for _, s := range one.net.Steps {
			c.Steps = append(c.Steps, stepRecord{Step: s})
		}
		if c.foreign() || c.Giver != nil {
			c.Asked = one.asked(r, pod)
		}
		all[one.sel.IfName] = c
	}
	return all
}

func (r *Record) call(w kind.Wired, c chainRecord, path string) chained.Call {
	return chained.Call{ContainerID: r.ContainerID, IfName: w.IfName, Network: c.Network, Name: c.Name, NetNS: path,
		Namespace: r.Namespace, Pod: r.Pod, UID: r.UID, Wired: w, Runtime: c.Runtime}
}

func (r *Record) delegateCall(ifName string, c chainRecord, step Step, path string, prev *types100.Result) delegate.Call {
	return delegate.Call{Type: step.Type, Config: step.Raw, Name: c.Name, Version: c.Version, ContainerID: r.ContainerID, NetNS: path,
		IfName: ifName, Asked: c.Asked, Prev: prev}
}

// deviceFile is where the plugins were told to write device information, "" for nowhere.
func (c chainRecord) deviceFile() (path string) {
	_ = json.Unmarshal(c.Asked.Capabilities["CNIDeviceInfoFile"], &path) // absent is ""
	return path
}

// patience is how long a plugin may refuse to take back what it made, before the Pod goes without.
const patience = 5 * time.Minute

// unchain takes the steps back: of an interface the last one first, of interfaces those first that came last, where that matters, and
// all others at the same time. Path is "" when the namespace is gone.
func (s *Server) unchain(ctx context.Context, record Record, path string) error {
	names := record.Intended
	order, done := after(names, record.Chains), make([]chan struct{}, len(names))
	followers := make([][]int, len(names))
	for i := range names {
		done[i] = make(chan struct{})
		for _, before := range order[i] {
			followers[before] = append(followers[before], i)
		}
		if c := record.Chains[names[0]]; i > 0 && c.headed() { // the others may stand on it
			followers[0] = append(followers[0], i)
		}
	}
	errs := make([]error, len(names))
	var all sync.WaitGroup
	for i, name := range names {
		all.Go(func() {
			defer close(done[i])
			for _, later := range followers[i] {
				<-done[later]
			}
			errs[i] = s.takeBack(ctx, record, name, path)
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// takeBack takes back the steps on one interface.
func (s *Server) takeBack(ctx context.Context, record Record, ifName, path string) error {
	return record.eachStep(ifName, path, func(call chained.Call, c chainRecord, step stepRecord) error {
		if !step.Foreign {
			return s.Chained.Del(ctx, call, step.Chained, step.State)
		}
		err := s.Delegates.Del(ctx, record.delegateCall(call.IfName, c, step.Step, path, c.result()))
		if path := c.deviceFile(); path != "" && err == nil {
			err = s.Delegates.ForgetDevice(path)
		}
		if err == nil || ctx.Err() != nil {
			return err
		}
		_, missing := errors.AsType[*delegate.Missing](err)
		if missing || c.Result == nil || time.Since(record.Left) > patience {
			// A plugin that is gone will never do it, one that refused its ADD refuses this as well, and the Pod must go.
			s.Log.Error("a plugin did not take away what it may have made", "plugin", step.Type, "container", record.ContainerID, "interface", call.IfName, "err", err)
			return nil
		}
		return err
	})
}

// checkChains compares what the steps did with what is there.
func (s *Server) checkChains(ctx context.Context, record Record) error {
	var errs []error
	for _, name := range slices.Backward(record.Intended) {
		errs = append(errs, record.eachStep(name, record.NetNS, func(call chained.Call, c chainRecord, step stepRecord) error {
			switch {
			case !step.Foreign:
				return s.Chained.Check(ctx, call, step.Chained, step.State)
			case c.NoCheck:
				return nil
			}
			return s.Delegates.Check(ctx, record.delegateCall(call.IfName, c, step.Step, record.NetNS, c.result()))
		}))
	}
	return errors.Join(errs...)
}

// result is what the last plugin gave, nil when there is none or when it was lost.
func (c chainRecord) result() *types100.Result {
	if len(c.Result) == 0 {
		return nil
	}
	r, err := delegate.ReadResult(c.Result)
	if err != nil {
		return nil
	}
	return r
}

// eachStep visits the steps of an interface, the last first.
func (r *Record) eachStep(name, path string, visit func(chained.Call, chainRecord, stepRecord) error) error {
	c, ok := r.Chains[name]
	if !ok {
		return nil
	}
	w := kind.Wired{ContainerID: r.ContainerID, IfName: name, Network: c.Network}
	if i := slices.IndexFunc(r.Interfaces, func(o kind.Wired) bool { return o.IfName == name }); i >= 0 {
		w = r.Interfaces[i]
	}
	var errs []error
	for _, step := range slices.Backward(c.Steps) {
		var err error
		if !step.Foreign {
			step.Chained, err = chained.Parse(step.Type, step.Raw)
		}
		if err == nil {
			err = visit(r.call(w, c, path), c, step)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("network %s (%s), %s: %w", c.Network, name, step.Type, err))
		}
	}
	return errors.Join(errs...)
}
