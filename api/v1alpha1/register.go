package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupName is the API group of every tsunagu object.
const GroupName = "tsunagu.dev"

// GroupVersion is the group and version of this package.
var GroupVersion = schema.GroupVersion{Group: GroupName, Version: "v1alpha1"}

// AddToScheme registers every kind of this package with s.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion,
		&Network{}, &NetworkList{},
		&NodeNetwork{}, &NodeNetworkList{},
		&IPPool{}, &IPPoolList{},
		&IPRegion{}, &IPRegionList{},
		&IPBlock{}, &IPBlockList{},
		&IPAddress{}, &IPAddressList{},
		&IPClaim{}, &IPClaimList{},
	)
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}

// Resource names a resource of this group, for errors and dynamic clients.
func Resource(name string) schema.GroupResource {
	return schema.GroupResource{Group: GroupName, Resource: name}
}
