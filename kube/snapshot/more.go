package snapshot

// Lists that only the doctor looks at, as they are named to Reader.Snapshot.
const (
	ScaleEvents     = "events of the autoscaler"
	Services        = "services"
	NetworkPolicies = "networkpolicies"
	Roles           = "roles"
	RoleBindings    = "rolebindings"
	ClusterRoles    = "clusterroles"
	ClusterBindings = "clusterrolebindings"
)

func (s *Snapshot) moreLists() map[string]list {
	const rbac = "/apis/rbac.authorization.k8s.io/v1/"
	return map[string]list{
		Services:        into("/api/v1/services", "Service", &s.Services),
		NetworkPolicies: into("/apis/networking.k8s.io/v1/networkpolicies", "NetworkPolicy", &s.NetworkPolicies),
		Roles:           into(rbac+"roles", "Role", &s.Roles),
		RoleBindings:    into(rbac+"rolebindings", "RoleBinding", &s.RoleBindings),
		ClusterRoles:    into(rbac+"clusterroles", "ClusterRole", &s.ClusterRoles),
		ClusterBindings: into(rbac+"clusterrolebindings", "ClusterRoleBinding", &s.ClusterRoleBindings),
	}
}
