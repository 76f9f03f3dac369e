package snapshot

import (
	"context"
	"encoding/json"
	"fmt"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// May asks the API server whether a user may do something (SubjectAccessReview).
func (r *Reader) May(ctx context.Context, user string, groups []string, what authorizationv1.ResourceAttributes) (bool, error) {
	ask := authorizationv1.SubjectAccessReview{TypeMeta: metav1.TypeMeta{APIVersion: "authorization.k8s.io/v1", Kind: "SubjectAccessReview"},
		Spec: authorizationv1.SubjectAccessReviewSpec{User: user, Groups: groups, ResourceAttributes: &what}}
	body, err := json.Marshal(ask)
	if err != nil {
		return false, fmt.Errorf("ask for a right of %s: %w", user, err)
	}
	raw, err := answer(r.rest.Post().AbsPath("/apis/authorization.k8s.io/v1/subjectaccessreviews").SetHeader("Content-Type", "application/json").Body(body).Do(ctx))
	if err != nil {
		return false, fmt.Errorf("ask for a right of %s: %w", user, err)
	}
	if err := json.Unmarshal(raw, &ask); err != nil {
		return false, unreadable("subjectaccessreviews", err)
	}
	if given := ask.Status; !given.Allowed && !given.Denied && given.EvaluationError != "" {
		return false, fmt.Errorf("ask for a right of %s: the API server does not know: %s", user, given.EvaluationError) // an authorizer did not answer
	}
	return ask.Status.Allowed, nil
}

// The last of a log that is read.
const (
	logLines = "2000"
	logBytes = "1048576"
)

// Log reads the end of a container's log.
func (r *Reader) Log(ctx context.Context, namespace, pod, container string) (Text, error) {
	t := Text{Name: fmt.Sprintf("log of %s/%s %s", namespace, pod, container)}
	raw, err := answer(r.rest.Get().MaxRetries(0).AbsPath("/api/v1").Namespace(namespace).Resource("pods").Name(pod).SubResource("log").
		Param("container", container).Param("tailLines", logLines).Param("limitBytes", logBytes).Do(ctx))
	if err != nil {
		return t, fmt.Errorf("read the %s: %w", t.Name, err)
	}
	t.Text = string(raw)
	return t, nil
}
