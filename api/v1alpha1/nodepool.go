package v1alpha1

// Annotations on a MachineDeployment of Cluster API by which its number of
// replicas is left to tsunagu. One that has the Cluster Autoscaler's size
// annotations is never touched.
const (
	// PoolNetworksAnnotation names the Networks that nodes of it have, comma
	// separated, such as "blue,storage".
	PoolNetworksAnnotation = "tsunagu.dev/pool-networks"
	// PoolMinAnnotation and PoolMaxAnnotation bound the replicas; the least is 0
	// by default, and without a most the pool is not touched.
	PoolMinAnnotation = "tsunagu.dev/pool-min"
	PoolMaxAnnotation = "tsunagu.dev/pool-max"
	// PoolIdleAnnotation is how long a node without Pods is kept, as a duration
	// of Go; ten minutes by default.
	PoolIdleAnnotation = "tsunagu.dev/pool-idle"
	// PoolLeavingAnnotation is on a Node that tsunagu has closed because its
	// machine is to go.
	PoolLeavingAnnotation = "tsunagu.dev/pool-leaving"
	// PoolSetsAnnotation has pools made of a MachineDeployment, one for each set of
	// Networks, such as "blue,storage; red".
	PoolSetsAnnotation = "tsunagu.dev/pool-sets"
	// PoolHostsAnnotation names failure domains, such as "rack1,rack2": each set has
	// a pool in each.
	PoolHostsAnnotation = "tsunagu.dev/pool-hosts"
	// PoolPortGroupsAnnotation says which port groups new virtual machines get a
	// card on, such as "blue=vlan120".
	PoolPortGroupsAnnotation = "tsunagu.dev/pool-port-groups"
	// PoolScalerAnnotation is who scales these pools: autoscaler or tsunagu.
	PoolScalerAnnotation = "tsunagu.dev/pool-scaler"
	// PoolMadeForAnnotation is on a MachineDeployment that was made: its Networks.
	PoolMadeForAnnotation = "tsunagu.dev/pool-made-for"
)

// PoolLabel is on the objects of a pool that was made, its name as the value;
// PoolBaseLabel on its MachineDeployment, of which one it was made.
const (
	PoolLabel     = "tsunagu.dev/pool"
	PoolBaseLabel = "tsunagu.dev/pool-base"
)

// HostsLabel is on nodes of pools that are bound to hosts: which these are.
const HostsLabel = "topology.tsunagu.node-restriction.kubernetes.io/hosts"
