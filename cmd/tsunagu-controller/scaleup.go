package main

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"

	"github.com/tsunagu-net/tsunagu/cmd/machines"
	"github.com/tsunagu-net/tsunagu/doctor/scaleup"
	"github.com/tsunagu-net/tsunagu/kube/controller"
	"github.com/tsunagu-net/tsunagu/kube/snapshot"
)

// scaleUps reads what tsunagu doctor scale-up reads, and judges every Pod that waits.
func scaleUps(cfg *rest.Config) (func(context.Context) ([]controller.ScaleUp, error), error) {
	reader, err := snapshot.NewReader(cfg)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) ([]controller.ScaleUp, error) {
		quiet := func(string, int) {}
		s, err := reader.Snapshot(ctx, quiet, snapshot.MachineDeployments, snapshot.MachineSets, snapshot.MachinePools)
		if err != nil || len(s.MachineGroups) == 0 {
			return nil, err // without Cluster API there is nothing to say
		}
		s, err = reader.Snapshot(ctx, quiet, "pods", "nodes", "deployments", snapshot.MachineDeployments, snapshot.MachineSets, snapshot.MachinePools, snapshot.Machines)
		if err != nil {
			return nil, err
		}
		machines.Templates(ctx, reader, s)
		world, err := machines.World(s, s)
		if err == nil || len(world.Groups) > 0 {
			world.Autoscaler.Denied, _ = machines.Lacking(world, s, machines.Asks(ctx, reader)) // what is not known is not said
			return judge(world, s.Pods, time.Now()), nil
		}
		return nil, err
	}, nil
}

// given is how long the scheduler has been without a node for a Pod.
const given = time.Minute

// judge explains the Pods that the scheduler has no node for.
func judge(world *scaleup.Cluster, pods []corev1.Pod, now time.Time) (all []controller.ScaleUp) {
	for i := range pods {
		if p := &pods[i]; unschedulable(p, now) {
			v := scaleup.Explain(world, p)
			all = append(all, controller.ScaleUp{UID: p.UID, Adds: len(v.Scales) > 0, Text: v.Sentence(controller.NoteMost)})
		}
	}
	return all
}

func unschedulable(p *corev1.Pod, now time.Time) bool {
	if p.Spec.NodeName != "" || p.DeletionTimestamp != nil || p.Status.Phase != corev1.PodPending {
		return false
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled {
			return c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable && now.Sub(c.LastTransitionTime.Time) >= given
		}
	}
	return false
}
