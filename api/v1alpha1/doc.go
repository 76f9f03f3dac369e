// Package v1alpha1 holds the Kubernetes objects of group tsunagu.dev.
//
// It owns the shape of what users and rooms write to the API server and the
// schema that refuses nonsense there. It knows nothing of how an object is
// carried out: parsing an object into a value that cannot be wrong stands
// beside that noun (ipam.ParsePool, attach.…). Start reading at Network.
//
// +kubebuilder:object:generate=true
// +groupName=tsunagu.dev
package v1alpha1

//go:generate go tool -modfile=../../tools/go.mod controller-gen object crd paths=. output:crd:dir=../../deploy/crds
