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
)
