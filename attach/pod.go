package attach

import (
	"context"
	"errors"
)

// Pod is what attaching needs to know of a Pod.
type Pod struct {
	Namespace, Name, UID string
	// StaticUID is the identity that the kubelet gives a Pod that it runs from a file of its own; the API knows a mirror of it under
	// another UID.
	StaticUID string
	// Networks is the value of SelectionAnnotation.
	Networks string
	// DefaultNetwork is the value of DefaultNetworkAnnotation.
	DefaultNetwork string
	// Owner is who controls the Pod; zero for nobody.
	Owner Controller
	// Migrates: the Pod is where a virtual machine is on its way to, which runs in another Pod still (Migrates).
	Migrates bool
}

// The labels of a Pod that a virtual machine migrates to: KubeVirt's, with the migration's UID, and one for others, with "true".
const (
	KubeVirtMigrationLabel = "kubevirt.io/migrationJobUID"
	MigrationLabel         = "tsunagu.dev/migration"
)

// Migrates tells by a Pod's labels whether a virtual machine migrates to it.
func Migrates(labels map[string]string) bool {
	return labels[KubeVirtMigrationLabel] != "" || labels[MigrationLabel] == "true"
}

// Controller is an object that makes Pods.
type Controller struct{ APIVersion, Kind, Name, UID string }

// Is tells whether the Pod is the one that the kubelet calls uid; "" is any.
func (p Pod) Is(uid string) bool {
	return uid == "" || uid == p.UID || uid == p.StaticUID && p.StaticUID != ""
}

func (p Pod) String() string { return p.Namespace + "/" + p.Name }

// ErrNotFound tells that an object does not exist, as far as can be known. ErrUnavailable tells that the API server could not be asked.
var (
	ErrNotFound    = errors.New("not found")
	ErrUnavailable = errors.New("the API server cannot be asked now")
)

// Pods finds the Pods of this node.
type Pods interface {
	// Pod waits a little for a Pod that is not known yet, and asks the API server in the end. The error is ErrNotFound when there is
	// no Pod of the name, or it is not the one with the UID.
	Pod(ctx context.Context, namespace, name, uid string) (Pod, error)
	// Known lists the UIDs of this node's Pods, and whether the list is complete.
	Known() (uids map[string]bool, complete bool)
}
