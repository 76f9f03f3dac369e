package snapshot

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// The lists of Cluster API, as they are named to Reader.Snapshot.
const (
	MachineDeployments = "machinedeployments.cluster.x-k8s.io"
	MachineSets        = "machinesets.cluster.x-k8s.io"
	MachinePools       = "machinepools.cluster.x-k8s.io"
	Machines           = "machines.cluster.x-k8s.io"
	MachineTemplates   = "machinetemplates.infrastructure.cluster.x-k8s.io"

	machinesPath  = "/apis/cluster.x-k8s.io/v1beta2/"
	machinesOlder = "/apis/cluster.x-k8s.io/v1beta1/"
)

// machineLists are the lists of Cluster API. Machine templates are of many kinds, one per provider: a cluster's are read by Template.
func (s *Snapshot) machineLists() map[string]list {
	var mu sync.Mutex
	all := map[string]list{
		MachineDeployments: s.machineGroup(&mu, "machinedeployments", "MachineDeployment"),
		MachineSets:        s.machineGroup(&mu, "machinesets", "MachineSet"),
		MachinePools:       s.machineGroup(&mu, "machinepools", "MachinePool"),
		Machines:           into(machinesPath+"machines", "Machine", &s.Machines),
	}
	for resource, l := range all {
		l.older = machinesOlder + strings.TrimPrefix(l.path, machinesPath)
		all[resource] = l
	}
	templates := into("/apis/infrastructure.cluster.x-k8s.io/v1beta1/", "MachineTemplate", &s.MachineTemplates)
	templates.suffix = true
	all[MachineTemplates] = templates
	return all
}

// machineGroup is one of the lists that go into MachineGroups. They are read at the same time, and one that cannot be read takes nothing from the others.
func (s *Snapshot) machineGroup(mu *sync.Mutex, resource, kind string) list {
	var own []unstructured.Unstructured
	l := into(machinesPath+resource, kind, &own)
	add := l.add
	l.add = func(raw json.RawMessage) error {
		if err := add(raw); err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		s.MachineGroups = append(s.MachineGroups, own[len(own)-1])
		return nil
	}
	l.reset = func() {
		own = nil
		mu.Lock()
		defer mu.Unlock()
		s.MachineGroups = slices.DeleteFunc(s.MachineGroups, func(o unstructured.Unstructured) bool { return o.GetKind() == kind })
	}
	return l
}

// Template reads one object of a group whose version is not known, by the conventions for names of resources: what a MachineDeployment
// refers to.
func (r *Reader) Template(ctx context.Context, group, kind, namespace, name string) (*unstructured.Unstructured, error) {
	raw, err := answer(r.rest.Get().MaxRetries(retries).AbsPath("/apis/" + group).Do(ctx))
	if err != nil {
		return nil, fmt.Errorf("ask for the versions of %s: %w", group, err)
	}
	var served struct {
		PreferredVersion struct {
			GroupVersion string `json:"groupVersion"`
		} `json:"preferredVersion"`
	}
	if err := json.Unmarshal(raw, &served); err != nil {
		return nil, unreadable(group, err)
	}
	raw, err = answer(r.rest.Get().MaxRetries(retries).AbsPath("/apis/" + served.PreferredVersion.GroupVersion).
		Namespace(namespace).Resource(strings.ToLower(kind) + "s").Name(name).Do(ctx))
	if err != nil {
		return nil, fmt.Errorf("read %s %s/%s: %w", kind, namespace, name, err)
	}
	o := &unstructured.Unstructured{}
	if err := o.UnmarshalJSON(raw); err != nil {
		return nil, unreadable(kind, err)
	}
	return o, nil
}
