package machines

import (
	"errors"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tsunagu-net/tsunagu/doctor/scaleup"
	"github.com/tsunagu-net/tsunagu/kube/snapshot"
)

// World is what the autoscaler goes by; groups that cannot be read are left out, and the first is the error.
func World(here, there *snapshot.Snapshot) (*scaleup.Cluster, error) {
	world := &scaleup.Cluster{Nodes: here.Nodes, Pods: here.Pods, Machines: there.Machines, Templates: there.MachineTemplates, Autoscaler: autoscalerOf(here, there)}
	var wrong error
	for i := range there.MachineGroups {
		o := &there.MachineGroups[i]
		if o.GetKind() == "MachineSet" && ownedByDeployment(o.GetOwnerReferences()) {
			continue
		}
		g, err := scaleup.ParseGroup(o)
		if err != nil {
			wrong = errors.Join(wrong, err)
			continue
		}
		world.Groups = append(world.Groups, g)
	}
	return world, wrong
}

func ownedByDeployment(owners []metav1.OwnerReference) bool {
	return slices.ContainsFunc(owners, func(o metav1.OwnerReference) bool { return o.Kind == "MachineDeployment" })
}

// autoscalerOf finds the Deployment that runs Cluster Autoscaler for Cluster API.
func autoscalerOf(clusters ...*snapshot.Snapshot) scaleup.Autoscaler {
	for _, s := range clusters {
		if a, _, ok := Autoscaler(s); ok {
			return a
		}
	}
	return scaleup.Autoscaler{Version: scaleup.Newest, Assumed: true}
}

// Autoscaler finds it in one cluster, and the account that it runs as.
func Autoscaler(s *snapshot.Snapshot) (scaleup.Autoscaler, scaleup.Account, bool) {
	for i := range s.Deployments {
		if a, ok := autoscalerIn(&s.Deployments[i]); ok {
			who := scaleup.Account{Namespace: s.Deployments[i].Namespace, Name: s.Deployments[i].Spec.Template.Spec.ServiceAccountName}
			if who.Name == "" {
				who.Name = "default"
			}
			return a, who, true
		}
	}
	return scaleup.Autoscaler{}, scaleup.Account{}, false
}

func autoscalerIn(d *appsv1.Deployment) (a scaleup.Autoscaler, ok bool) {
	for _, c := range d.Spec.Template.Spec.Containers {
		args := append(slices.Clone(c.Command), c.Args...)
		if !scaleup.IsAutoscaler(args) {
			continue
		}
		a.Args = args
		v, err := scaleup.VersionOfImage(c.Image)
		if a.Version = v; err != nil {
			a.Version, a.Assumed = scaleup.Newest, true
		}
		return a, true
	}
	return a, false
}
