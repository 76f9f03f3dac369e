package controller

import (
	"context"
	"errors"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

// Gates are given only by a controller that can take them away.
func TestGatesNeedARight(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := authorizationv1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		allowed bool
		err     error
		says    string
	}{{true, nil, ""}, {false, nil, "controller.schedulingGates"}, {false, errors.New("etcd is away"), "etcd is away"}} {
		k := fake.NewClientBuilder().WithScheme(scheme).WithInterceptorFuncs(interceptor.Funcs{
			Create: func(_ context.Context, _ client.WithWatch, o client.Object, _ ...client.CreateOption) error {
				r := o.(*authorizationv1.SelfSubjectAccessReview)
				if a := r.Spec.ResourceAttributes; a.Verb != "patch" || a.Resource != "pods" || a.Namespace != "" {
					t.Errorf("it asks for %+v", a)
				}
				r.Status.Allowed = c.allowed
				return c.err
			}}).Build()
		err := mayPatchPods(t.Context(), k)
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
