package scaleup

import (
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
)

// Account is a ServiceAccount.
type Account struct{ Namespace, Name string }

// Roles are all objects of RBAC that rights follow from.
type Roles struct {
	Roles               []rbacv1.Role
	ClusterRoles        []rbacv1.ClusterRole
	RoleBindings        []rbacv1.RoleBinding
	ClusterRoleBindings []rbacv1.ClusterRoleBinding
}

// Verbs are what the autoscaler does with infrastructure templates; watch is missing from what many pages show.
var Verbs = []string{"get", "list", "watch"}

// Plural is the resource of a kind by the convention of Cluster API's contract: vspheremachinetemplates.
func Plural(kind string) string { return strings.ToLower(kind) + "s" }

// Denied are the verbs that an account lacks on the templates that groups refer to, by kind: what Autoscaler.Denied wants. It is not known when
// the account is bound to a role that is not there: a dump may lack it, and in a cluster it may come.
func (r Roles) Denied(who Account, groups []Group) (map[string][]string, error) {
	denied := map[string][]string{}
	if missing := r.missing(who); len(missing) > 0 {
		return nil, fmt.Errorf("account %s/%s is bound to what is not there: %s", who.Namespace, who.Name, strings.Join(missing, ", "))
	}
	for _, g := range groups {
		if g.Infra.Kind == "" || denied[g.Infra.Kind] != nil {
			continue
		}
		for _, verb := range Verbs {
			if !r.allow(who, verb, g.Infra) {
				denied[g.Infra.Kind] = append(denied[g.Infra.Kind], verb)
			}
		}
	}
	return denied, nil
}

// missing are roles that an account is bound to and that are not there.
func (r Roles) missing(who Account) (names []string) {
	look := func(ref rbacv1.RoleRef, namespace string) {
		there := ref.Kind == "ClusterRole" && slices.ContainsFunc(r.ClusterRoles, func(c rbacv1.ClusterRole) bool { return c.Name == ref.Name }) ||
			ref.Kind == "Role" && slices.ContainsFunc(r.Roles, func(c rbacv1.Role) bool { return c.Name == ref.Name && c.Namespace == namespace })
		if name := strings.TrimPrefix(namespace+"/", "/") + ref.Name; !there && !slices.Contains(names, ref.Kind+" "+name) {
			names = append(names, ref.Kind+" "+name)
		}
	}
	for _, b := range r.ClusterRoleBindings {
		if binds(b.Subjects, who, "") {
			look(b.RoleRef, "")
		}
	}
	for _, b := range r.RoleBindings {
		if binds(b.Subjects, who, b.Namespace) && b.RoleRef.Kind == "ClusterRole" {
			look(b.RoleRef, "")
		} else if binds(b.Subjects, who, b.Namespace) {
			look(b.RoleRef, b.Namespace)
		}
	}
	return names
}

// allow tells whether a verb is given on a kind in its namespace, by the rules of Kubernetes' RBAC authorizer.
func (r Roles) allow(who Account, verb string, on Reference) bool {
	for _, b := range r.ClusterRoleBindings {
		if binds(b.Subjects, who, "") && permit(r.rules(b.RoleRef, ""), verb, on) {
			return true
		}
	}
	for _, b := range r.RoleBindings {
		if b.Namespace == on.Namespace && binds(b.Subjects, who, b.Namespace) && permit(r.rules(b.RoleRef, b.Namespace), verb, on) {
			return true
		}
	}
	return false
}

func (r Roles) rules(ref rbacv1.RoleRef, namespace string) []rbacv1.PolicyRule {
	for _, role := range r.ClusterRoles {
		if ref.Kind == "ClusterRole" && role.Name == ref.Name {
			return r.aggregated(role)
		}
	}
	for _, role := range r.Roles {
		if ref.Kind == "Role" && role.Name == ref.Name && role.Namespace == namespace {
			return role.Rules
		}
	}
	return nil
}

// aggregated adds the rules of the roles that a role collects by labels: plain manifests have not got them in it yet.
func (r Roles) aggregated(role rbacv1.ClusterRole) []rbacv1.PolicyRule {
	rules := role.Rules
	if role.AggregationRule == nil {
		return rules
	}
	for _, s := range role.AggregationRule.ClusterRoleSelectors {
		for _, other := range r.ClusterRoles {
			matches := len(s.MatchLabels) > 0
			for key, value := range s.MatchLabels {
				matches = matches && other.Labels[key] == value
			}
			if matches {
				rules = append(slices.Clone(rules), other.Rules...)
			}
		}
	}
	return rules
}

func binds(subjects []rbacv1.Subject, who Account, namespace string) bool {
	return slices.ContainsFunc(subjects, func(s rbacv1.Subject) bool {
		switch s.Kind {
		case rbacv1.ServiceAccountKind:
			return s.Name == who.Name && (s.Namespace == who.Namespace || s.Namespace == "" && namespace == who.Namespace)
		case rbacv1.GroupKind:
			return s.Name == "system:serviceaccounts" || s.Name == "system:serviceaccounts:"+who.Namespace || s.Name == "system:authenticated"
		}
		return s.Name == "system:serviceaccount:"+who.Namespace+":"+who.Name
	})
}

func permit(rules []rbacv1.PolicyRule, verb string, on Reference) bool {
	has := func(list []string, what string) bool {
		return slices.Contains(list, what) || slices.Contains(list, "*")
	}
	return slices.ContainsFunc(rules, func(r rbacv1.PolicyRule) bool {
		return len(r.ResourceNames) == 0 && has(r.Verbs, verb) && has(r.APIGroups, on.Group) && has(r.Resources, Plural(on.Kind))
	})
}
