package attach

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/tsunagu-net/tsunagu/attach/chained"
	"github.com/tsunagu-net/tsunagu/attach/kind"
)

// Chained carries out plugins behind the first of a list that are built in (chained.Runner).
type Chained interface {
	Add(context.Context, chained.Call, chained.Spec) (kind.Wired, json.RawMessage, error)
	Del(context.Context, chained.Call, chained.Spec, json.RawMessage) error
	Check(context.Context, chained.Call, chained.Spec, json.RawMessage) error
}

// Step is one plugin behind the first of a list.
type Step struct {
	// Type is the plugin's name, Raw its configuration as it was written.
	Type string          `json:"type"`
	Raw  json.RawMessage `json:"config"`
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
	// Network and Name are the interface's network and the name in its configuration.
	Network string          `json:"network"`
	Name    string          `json:"name"`
	Runtime chained.Runtime `json:"runtime,omitzero"`
	Steps   []stepRecord    `json:"steps"`
}

// chainsOf are the chains of a plan, before anything of them is done, by interface.
func chainsOf(plan []planned) map[string]chainRecord {
	all := map[string]chainRecord{}
	for _, one := range plan {
		if len(one.net.Steps) == 0 {
			continue
		}
		c := chainRecord{Network: one.net.Ref, Name: one.net.Name, Runtime: one.runtime()}
		for _, s := range one.net.Steps {
			c.Steps = append(c.Steps, stepRecord{Step: s})
		}
		all[one.sel.IfName] = c
	}
	return all
}

// runtime is what the Pod asks of the chain.
func (p planned) runtime() chained.Runtime { return chained.Runtime{MAC: p.sel.MAC} }

func (r *Record) call(w kind.Wired, c chainRecord, path string) chained.Call {
	return chained.Call{ContainerID: r.ContainerID, IfName: w.IfName, Network: c.Network, Name: c.Name, NetNS: path,
		Namespace: r.Namespace, Pod: r.Pod, UID: r.UID, Wired: w, Runtime: c.Runtime}
}

// chain carries out the steps of every interface, in the order of the list. What is done stands in the record that it gives back, also
// with an error.
func (s *Server) chain(ctx context.Context, record Record) (Record, error) {
	for i, w := range record.Interfaces {
		c, ok := record.Chains[w.IfName]
		if !ok {
			continue
		}
		for n := range c.Steps {
			step := &c.Steps[n]
			now, state, err := s.Chained.Add(ctx, record.call(w, c, record.NetNS), step.Chained)
			if err != nil {
				return record, fmt.Errorf("network %s (%s), %s: %w", c.Network, w.IfName, step.Type, err)
			}
			w, step.State = now, state
		}
		record.Interfaces[i] = w
	}
	return record, nil
}

// unchain takes the steps back, the last one first. Path is "" when the namespace is gone.
func (s *Server) unchain(ctx context.Context, record Record, path string) error {
	return record.eachStep(path, func(call chained.Call, step stepRecord) error {
		return s.Chained.Del(ctx, call, step.Chained, step.State)
	})
}

// checkChains compares what the steps did with what is there.
func (s *Server) checkChains(ctx context.Context, record Record) error {
	return record.eachStep(record.NetNS, func(call chained.Call, step stepRecord) error {
		return s.Chained.Check(ctx, call, step.Chained, step.State)
	})
}

// eachStep visits the steps of all interfaces, the last first.
func (r *Record) eachStep(path string, visit func(chained.Call, stepRecord) error) error {
	var errs []error
	for _, name := range slices.Backward(r.Intended) {
		c, ok := r.Chains[name]
		if !ok {
			continue
		}
		w := kind.Wired{ContainerID: r.ContainerID, IfName: name, Network: c.Network}
		if i := slices.IndexFunc(r.Interfaces, func(o kind.Wired) bool { return o.IfName == name }); i >= 0 {
			w = r.Interfaces[i]
		}
		for _, step := range slices.Backward(c.Steps) {
			var err error
			if step.Chained, err = chained.Parse(step.Type, step.Raw); err == nil {
				err = visit(r.call(w, c, path), step)
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("network %s (%s), %s: %w", c.Network, name, step.Type, err))
			}
		}
	}
	return errors.Join(errs...)
}
