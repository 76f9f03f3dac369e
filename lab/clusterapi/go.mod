// The definitions of Cluster API's objects are read from this module: nothing of it is built.
module github.com/tsunagu-net/tsunagu/lab/clusterapi

go 1.26.0

require sigs.k8s.io/cluster-api v1.14.2
