package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/tsunagu-net/tsunagu/doctor"
	"github.com/tsunagu-net/tsunagu/doctor/scaleup"
	"github.com/tsunagu-net/tsunagu/kube/snapshot"
)

// rights says what an account may not do with the templates of groups, or why that is not known.
type rights func(who scaleup.Account, groups []scaleup.Group) (map[string][]string, error)

// around reads what stands around tsunagu: the objects of Cluster API, which another cluster may have, Services, policies, the autoscaler's Events, and
// logs.
func (a *app) around(ctx context.Context, reader, machines *snapshot.Reader, s *doctor.Snapshot) ([]snapshot.Passed, error) {
	p := a.terminal.watch("reading Machines")
	defer p.end()
	progress := func(resource string, n int) { p.now(fmt.Sprintf("reading %s, %d so far", resource, n)) }
	raw, err := reader.Snapshot(ctx, progress, snapshot.ScaleEvents, snapshot.Services, snapshot.NetworkPolicies)
	if err != nil {
		return nil, err
	}
	kinds := []string{snapshot.MachineDeployments, snapshot.MachineSets, snapshot.MachinePools, snapshot.Machines}
	if machines != reader {
		kinds = append(kinds, "deployments", "pods")
	}
	there, err := machines.Snapshot(ctx, progress, kinds...)
	if err != nil {
		return nil, err
	}
	passed := readTemplates(ctx, machines, there)
	for _, kind := range kinds[1:] { // of the first, MachineDeployments, Unread has it
		if why, ok := there.Unread[kind]; ok && why != snapshot.Unknown {
			passed = append(passed, snapshot.Passed{File: kind + ", where the Machines are", Why: why})
		}
	}
	if machines == reader {
		there.Deployments = s.Deployments
	}
	more, its := judged(raw), judged(there)
	s.ScaleEvents, s.Services, s.Policies = raw.ScaleEvents, more.Services, more.Policies
	for part, from := range map[doctor.Part]*doctor.Snapshot{doctor.Machines: its, doctor.Services: more, doctor.Policies: more} {
		if why, ok := from.Unread[part]; ok && !(part == doctor.Machines && why == snapshot.Unknown) {
			s.Unread[part] = why // a cluster without Cluster API has no Machines, and that is well
		}
	}
	p.now("reading logs")
	texts, unread := readLogs(ctx, reader, s.Pods)
	s.Texts, passed = texts, append(passed, unread...)
	if machines != reader {
		texts, unread = readLogs(ctx, machines, there.Pods)
		s.Texts, passed = append(s.Texts, texts...), append(passed, unread...)
	}
	here := there
	if machines != reader {
		here = &snapshot.Snapshot{Deployments: s.Deployments}
	}
	there.Nodes, there.Pods = s.Nodes, s.Pods // whom nodes are for
	here.Nodes, here.Pods = s.Nodes, s.Pods
	return append(passed, withMachines(s, here, there, asks(ctx, machines))...), nil
}

// withMachines gives the doctor what the autoscaler goes by, and says what of it could not be read: that is no reason to say nothing of the rest.
func withMachines(s *doctor.Snapshot, here, there *snapshot.Snapshot, ask rights) []snapshot.Passed {
	world, err := machineWorld(here, there)
	s.ScaleUp = world
	s.Autoscaled = slices.ContainsFunc([]*snapshot.Snapshot{here, there}, func(from *snapshot.Snapshot) bool { _, _, ok := findAutoscaler(from); return ok })
	s.ClusterAPI = clusterAPI(there)
	if s.Autoscaled {
		denied, unknown := lacking(world, there, ask)
		world.Autoscaler.Denied = denied
		if unknown != nil {
			s.Unread[doctor.Rights] = unknown.Error()
		}
	}
	if err != nil {
		return []snapshot.Passed{{File: "the objects of Cluster API", Why: err.Error()}}
	}
	return nil
}

// lacking are the rights that the autoscaler lacks in the cluster that has the Machines.
func lacking(world *scaleup.Cluster, there *snapshot.Snapshot, ask rights) (map[string][]string, error) {
	_, who, ok := findAutoscaler(there)
	if !ok {
		return nil, errors.New("the autoscaler runs in another cluster than the Machines, and who it is there its own kubeconfig says")
	}
	if ask != nil {
		return ask(who, world.Groups)
	}
	for _, kind := range []string{snapshot.Roles, snapshot.ClusterRoles, snapshot.RoleBindings, snapshot.ClusterBindings} {
		if why := there.Unread[kind]; why != "" {
			return nil, fmt.Errorf("%s: %s", kind, why)
		}
	}
	return scaleup.Roles{Roles: there.Roles, ClusterRoles: there.ClusterRoles, RoleBindings: there.RoleBindings, ClusterRoleBindings: there.ClusterRoleBindings}.Denied(who, world.Groups)
}

// asks asks the API server for rights.
func asks(ctx context.Context, reader *snapshot.Reader) rights {
	return func(who scaleup.Account, groups []scaleup.Group) (map[string][]string, error) {
		denied, asked := map[string][]string{}, map[string]bool{}
		user := "system:serviceaccount:" + who.Namespace + ":" + who.Name
		all := []string{"system:serviceaccounts", "system:serviceaccounts:" + who.Namespace, "system:authenticated"}
		for _, g := range groups {
			if asked[g.Infra.Kind] || g.Infra.Kind == "" {
				continue
			}
			asked[g.Infra.Kind] = true
			for _, verb := range scaleup.Verbs {
				may, err := reader.May(ctx, user, all, authorizationv1.ResourceAttributes{Namespace: g.Infra.Namespace, Verb: verb, Group: g.Infra.Group, Resource: scaleup.Plural(g.Infra.Kind)})
				if err != nil {
					return nil, err
				}
				if !may {
					denied[g.Infra.Kind] = append(denied[g.Infra.Kind], verb)
				}
			}
		}
		return denied, nil
	}
}

// readTemplates reads what groups refer to, and says which it could not.
func readTemplates(ctx context.Context, reader *snapshot.Reader, s *snapshot.Snapshot) (passed []snapshot.Passed) {
	for i := range s.MachineGroups {
		g, err := scaleup.ParseGroup(&s.MachineGroups[i])
		if err != nil || g.Infra.Name == "" || g.Infra.Group == "" {
			continue
		}
		t, err := reader.Template(ctx, g.Infra.Group, g.Infra.Kind, g.Infra.Namespace, g.Infra.Name)
		if err != nil {
			passed = append(passed, snapshot.Passed{File: fmt.Sprintf("%s %s/%s", g.Infra.Kind, g.Infra.Namespace, g.Infra.Name), Why: err.Error()})
			continue
		}
		s.MachineTemplates = append(s.MachineTemplates, *t)
	}
	return passed
}

// clusterAPI is the version of Cluster API's own controller, zero when it is not known.
func clusterAPI(s *snapshot.Snapshot) (v scaleup.Version) {
	for i := range s.Deployments {
		if d := &s.Deployments[i]; d.Name == "capi-controller-manager" {
			for _, c := range d.Spec.Template.Spec.Containers {
				if found, err := scaleup.VersionOfImage(c.Image); err == nil && strings.Contains(c.Image, "cluster-api") {
					return found
				}
			}
		}
	}
	return v
}

// mostLogs is how many logs are read: each is a request of up to a megabyte.
const mostLogs = 12

// readLogs reads the ends of the logs that name causes nobody else names, and says which it did not.
func readLogs(ctx context.Context, reader *snapshot.Reader, pods []corev1.Pod) (texts []doctor.Text, passed []snapshot.Passed) {
	tried, left := 0, 0
	for i := range pods {
		p := &pods[i]
		for _, c := range p.Spec.Containers {
			if !telling(p, c) {
				continue
			}
			if tried++; tried > mostLogs {
				left++
				continue
			}
			t, err := reader.Log(ctx, p.Namespace, p.Name, c.Name)
			if err != nil {
				passed = append(passed, snapshot.Passed{File: t.Name, Why: err.Error()})
				continue
			}
			texts = append(texts, doctor.Text(t))
		}
	}
	if left > 0 {
		passed = append(passed, snapshot.Passed{File: count(left, "log"), Why: fmt.Sprintf("only the first %d are read; save the others with kubectl logs and name the files", mostLogs)})
	}
	return texts, passed
}

// telling tells whether a container is one of those whose logs have checks.
func telling(p *corev1.Pod, c corev1.Container) bool {
	if doctor.Finished(p) || p.Spec.NodeName == "" {
		return false
	}
	for _, name := range []string{"cluster-autoscaler", "capi-controller", "capv-controller", "cloud-controller", "cpi", "kube-vip", "flannel"} {
		if strings.Contains(c.Name, name) || strings.Contains(p.Name, name) {
			return true
		}
	}
	return false
}
