package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/tsunagu-net/tsunagu/cmd/machines"
	"github.com/tsunagu-net/tsunagu/doctor"
	"github.com/tsunagu-net/tsunagu/doctor/scaleup"
	"github.com/tsunagu-net/tsunagu/kube/snapshot"
)

// around reads what stands around tsunagu: the objects of Cluster API, which another cluster may have, Services, policies, the autoscaler's Events, and
// logs.
func (a *app) around(ctx context.Context, reader, managing *snapshot.Reader, s *doctor.Snapshot) ([]snapshot.Passed, error) {
	p := a.terminal.watch("reading Machines")
	defer p.end()
	progress := func(resource string, n int) { p.now(fmt.Sprintf("reading %s, %d so far", resource, n)) }
	raw, err := reader.Snapshot(ctx, progress, snapshot.ScaleEvents, snapshot.Services, snapshot.NetworkPolicies)
	if err != nil {
		return nil, err
	}
	kinds := []string{snapshot.MachineDeployments, snapshot.MachineSets, snapshot.MachinePools, snapshot.Machines}
	if managing != reader {
		kinds = append(kinds, "deployments", "pods")
	}
	there, err := managing.Snapshot(ctx, progress, kinds...)
	if err != nil {
		return nil, err
	}
	passed := machines.Templates(ctx, managing, there)
	for _, kind := range kinds[1:] { // of the first, MachineDeployments, Unread has it
		if why, ok := there.Unread[kind]; ok && why != snapshot.Unknown {
			passed = append(passed, snapshot.Passed{File: kind + ", where the Machines are", Why: why})
		}
	}
	if managing == reader {
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
	if managing != reader {
		texts, unread = readLogs(ctx, managing, there.Pods)
		s.Texts, passed = append(s.Texts, texts...), append(passed, unread...)
	}
	here := there
	if managing != reader {
		here = &snapshot.Snapshot{Deployments: s.Deployments}
	}
	there.Nodes, there.Pods = s.Nodes, s.Pods // whom nodes are for
	here.Nodes, here.Pods = s.Nodes, s.Pods
	return append(passed, withMachines(s, here, there, machines.Asks(ctx, managing))...), nil
}

// withMachines gives the doctor what the autoscaler goes by, and says what of it could not be read: that is no reason to say nothing of the rest.
func withMachines(s *doctor.Snapshot, here, there *snapshot.Snapshot, ask machines.Rights) []snapshot.Passed {
	world, err := machines.World(here, there)
	s.ScaleUp = world
	s.Autoscaled = slices.ContainsFunc([]*snapshot.Snapshot{here, there}, func(from *snapshot.Snapshot) bool { _, _, ok := machines.Autoscaler(from); return ok })
	s.ClusterAPI = clusterAPI(there)
	if s.Autoscaled {
		denied, unknown := machines.Lacking(world, there, ask)
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
