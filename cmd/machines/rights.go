package machines

import (
	"context"
	"errors"
	"fmt"

	authorizationv1 "k8s.io/api/authorization/v1"

	"github.com/tsunagu-net/tsunagu/doctor/scaleup"
	"github.com/tsunagu-net/tsunagu/kube/snapshot"
)

// Rights says what an account may not do with the templates of groups, or why that is not known.
type Rights func(who scaleup.Account, groups []scaleup.Group) (map[string][]string, error)

// Lacking are the rights that the autoscaler lacks in the cluster that has the Machines.
func Lacking(world *scaleup.Cluster, there *snapshot.Snapshot, ask Rights) (map[string][]string, error) {
	_, who, ok := Autoscaler(there)
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

// Asks asks the API server for rights.
func Asks(ctx context.Context, reader *snapshot.Reader) Rights {
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
