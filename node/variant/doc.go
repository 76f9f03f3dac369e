// Package variant makes node pools of a MachineDeployment of Cluster API: one
// for each set of Networks, and for each group of hosts, with all that Cluster
// Autoscaler must be told to bring a node of it from zero. It owns the request,
// which stands in annotations, the objects, and when a new node's startup taint
// goes. It makes no call, and does not know who scales or what nodes have. Start
// reading at Parse, then Request.Make.
package variant
