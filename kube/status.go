package kube

import (
	"context"
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/tsunagu-net/tsunagu/attach"
)

// statusAnnotation is where a Pod tells what it was attached to (Multi-Net spec 1.3 section 5).
const statusAnnotation = "k8s.v1.cni.cncf.io/network-status"

// Statuses writes the network-status of Pods.
type Statuses struct{ core rest.Interface }

// NewStatuses writes by the client.
func NewStatuses(c *Client) Statuses { return Statuses{c.Core} }

// Report writes the status of a Pod in one request (attach.Statuses). The UID in the patch makes the API server refuse it when the Pod
// is another one by now; that, like a Pod that is gone, is ErrNotFound.
func (s Statuses) Report(ctx context.Context, pod attach.Pod, status string) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid":         pod.UID,
		"annotations": map[string]string{statusAnnotation: status},
	}})
	if err != nil {
		return fmt.Errorf("render the network-status of pod %s: %w", pod, err)
	}
	err = s.core.Patch(types.MergePatchType).Namespace(pod.Namespace).Resource("pods").Name(pod.Name).SubResource("status").
		Body(patch).Do(ctx).Error()
	switch {
	case err == nil:
		return nil
	case apierrors.IsNotFound(err), apierrors.IsConflict(err):
		return fmt.Errorf("write the network-status of pod %s: %w", pod, attach.ErrNotFound)
	}
	return fmt.Errorf("write the network-status of pod %s: %w", pod, err)
}
