package controller

import (
	"context"
	"errors"
	"fmt"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// gateRight refuses to give Pods gates that nobody could take away: they would wait for ever.
func gateRight(ctx context.Context, cfg *rest.Config, mapper meta.RESTMapper) error {
	s := runtime.NewScheme()
	if err := authorizationv1.AddToScheme(s); err != nil {
		return fmt.Errorf("register kinds: %w", err)
	}
	c, err := client.New(cfg, client.Options{Scheme: s, Mapper: mapper})
	if err != nil {
		return fmt.Errorf("reach the API server: %w", err)
	}
	return mayPatchPods(ctx, c)
}

func mayPatchPods(ctx context.Context, c client.Client) error {
	review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: "patch", Resource: "pods"}}}
	if err := c.Create(ctx, review); err != nil {
		return fmt.Errorf("--scheduling-gates: ask whether Pods may be patched: %w", err)
	}
	if !review.Status.Allowed {
		return errors.New("--scheduling-gates: the controller may not patch Pods, so that gates would stay for ever: controller.schedulingGates of the chart gives flag and right")
	}
	return nil
}
