package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/tsunagu-net/tsunagu/doctor"
	"github.com/tsunagu-net/tsunagu/doctor/scaleup"
	"github.com/tsunagu-net/tsunagu/kube/snapshot"
)

// rights says what an account may not do with the templates of groups.
type rights func(who scaleup.Account, groups []scaleup.Group) map[string][]string

// around reads what stands around tsunagu: the objects of Cluster API, Services, policies, the autoscaler's Events, and logs.
func (a *app) around(ctx context.Context, reader *snapshot.Reader, s *doctor.Snapshot) ([]snapshot.Passed, error) {
	p := a.terminal.watch("reading Machines")
	defer p.end()
	raw, err := reader.Snapshot(ctx, func(resource string, n int) { p.now(fmt.Sprintf("reading %s, %d so far", resource, n)) },
		snapshot.MachineDeployments, snapshot.MachineSets, snapshot.MachinePools, snapshot.Machines, snapshot.ScaleEvents, snapshot.Services, snapshot.NetworkPolicies)
	if err != nil {
		return nil, err
	}
	readTemplates(ctx, reader, raw)
	raw.Deployments = s.Deployments
	more := judged(raw)
	s.ScaleEvents, s.Services, s.Policies = raw.ScaleEvents, more.Services, more.Policies
	for _, part := range []doctor.Part{doctor.Machines, doctor.Services, doctor.Policies} {
		if why, ok := more.Unread[part]; ok && !(part == doctor.Machines && why == snapshot.Unknown) {
			s.Unread[part] = why // a cluster without Cluster API has no Machines, and that is well
		}
	}
	p.now("reading logs")
	s.Texts = readLogs(ctx, reader, s)
	return withMachines(s, &snapshot.Snapshot{Nodes: s.Nodes, Pods: s.Pods, Deployments: s.Deployments}, raw, asks(ctx, reader)), nil
}

// withMachines gives the doctor what the autoscaler goes by, and says what of it could not be read: that is no reason to say nothing of the rest.
func withMachines(s *doctor.Snapshot, here, there *snapshot.Snapshot, ask rights) []snapshot.Passed {
	world, err := machineWorld(here, there)
	s.ScaleUp = world
	s.Autoscaled = slices.ContainsFunc([]*snapshot.Snapshot{here, there}, func(from *snapshot.Snapshot) bool { _, _, ok := findAutoscaler(from); return ok })
	s.ClusterAPI = clusterAPI(there)
	if ask == nil && there.Unread[snapshot.ClusterRoles] == "" && there.Unread[snapshot.ClusterBindings] == "" {
		ask = scaleup.Roles{Roles: there.Roles, ClusterRoles: there.ClusterRoles, RoleBindings: there.RoleBindings, ClusterRoleBindings: there.ClusterRoleBindings}.Denied
	}
	for _, from := range []*snapshot.Snapshot{there, here} {
		if _, who, ok := findAutoscaler(from); ok && ask != nil {
			world.Autoscaler.Denied = ask(who, world.Groups)
			break
		}
	}
	if err != nil {
		return []snapshot.Passed{{File: "the objects of Cluster API", Why: err.Error()}}
	}
	return nil
}

// asks asks the API server for rights; what it does not answer counts as given.
func asks(ctx context.Context, reader *snapshot.Reader) rights {
	return func(who scaleup.Account, groups []scaleup.Group) map[string][]string {
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
				if err == nil && !may {
					denied[g.Infra.Kind] = append(denied[g.Infra.Kind], verb)
				}
			}
		}
		return denied
	}
}

// readTemplates reads what groups refer to.
func readTemplates(ctx context.Context, reader *snapshot.Reader, s *snapshot.Snapshot) {
	for i := range s.MachineGroups {
		g, err := scaleup.ParseGroup(&s.MachineGroups[i])
		if err != nil || g.Infra.Name == "" || g.Infra.Group == "" {
			continue
		}
		if t, err := reader.Template(ctx, g.Infra.Group, g.Infra.Kind, g.Infra.Namespace, g.Infra.Name); err == nil {
			s.MachineTemplates = append(s.MachineTemplates, *t)
		}
	}
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

// readLogs reads the ends of the logs that name causes nobody else names.
func readLogs(ctx context.Context, reader *snapshot.Reader, s *doctor.Snapshot) (texts []doctor.Text) {
	for i := range s.Pods {
		p := &s.Pods[i]
		for _, c := range p.Spec.Containers {
			if !telling(p, c) || len(texts) >= mostLogs {
				continue
			}
			if t, err := reader.Log(ctx, p.Namespace, p.Name, c.Name); err == nil {
				texts = append(texts, doctor.Text(t))
			}
		}
	}
	return texts
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
