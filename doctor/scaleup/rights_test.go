package scaleup

import (
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The role of the autoscaler's page for Cluster API, with and without what is missing from it.
func TestRightsFollowFromRoles(t *testing.T) {
	who := Account{"kube-system", "cluster-autoscaler"}
	groups := []Group{{Infra: Reference{"VSphereMachineTemplate", "infrastructure.cluster.x-k8s.io", "default", "md-0"}}}
	role := func(verbs, groups, resources string) rbacv1.ClusterRole {
		return *parse[rbacv1.ClusterRole](t, "metadata: {name: ca}\nrules: [{verbs: "+verbs+", apiGroups: "+groups+", resources: "+resources+"}]")
	}
	const group, templates = "[infrastructure.cluster.x-k8s.io]", "[vspheremachinetemplates]"
	subject := []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "kube-system", Name: "cluster-autoscaler"}}
	ref := rbacv1.RoleRef{Kind: "ClusterRole", Name: "ca"}
	everywhere := rbacv1.ClusterRoleBinding{Subjects: subject, RoleRef: ref}
	for name, c := range map[string]struct {
		roles Roles
		want  []string
	}{
		"nothing bound": {Roles{ClusterRoles: []rbacv1.ClusterRole{role("['*']", group, templates)}}, Verbs},
		"all of them":   {Roles{ClusterRoles: []rbacv1.ClusterRole{role("[get, list, watch]", group, templates)}, ClusterRoleBindings: []rbacv1.ClusterRoleBinding{everywhere}}, nil},
		"no watch":      {Roles{ClusterRoles: []rbacv1.ClusterRole{role("[get, list]", group, "['*']")}, ClusterRoleBindings: []rbacv1.ClusterRoleBinding{everywhere}}, []string{"watch"}},
		"another group": {Roles{ClusterRoles: []rbacv1.ClusterRole{role("['*']", "[cluster.x-k8s.io]", "['*']")}, ClusterRoleBindings: []rbacv1.ClusterRoleBinding{everywhere}}, Verbs},
		"bound in another namespace": {Roles{ClusterRoles: []rbacv1.ClusterRole{role("['*']", group, templates)},
			RoleBindings: []rbacv1.RoleBinding{{ObjectMeta: everywhere.ObjectMeta, Subjects: subject, RoleRef: ref}}}, Verbs},
	} {
		denied, err := c.roles.Denied(who, groups)
		if have := denied["VSphereMachineTemplate"]; err != nil || !slices.Equal(have, c.want) {
			t.Errorf("%s: want %v lacking, have %v, %v", name, c.want, have, err)
		}
	}
	for want, roles := range map[string]Roles{
		"ClusterRole ca": {ClusterRoleBindings: []rbacv1.ClusterRoleBinding{everywhere}},
		"Role default/ca": {ClusterRoles: []rbacv1.ClusterRole{role("['*']", group, templates)}, RoleBindings: []rbacv1.RoleBinding{{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default"}, Subjects: subject, RoleRef: rbacv1.RoleRef{Kind: "Role", Name: "ca"}}}},
	} {
		if denied, err := roles.Denied(who, groups); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want that %s is missing, have %v, %v", want, denied, err)
		}
	}
}
