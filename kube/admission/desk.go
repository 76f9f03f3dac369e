package admission

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	admissionv1 "k8s.io/api/admission/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/attach"
)

// Path is where the Server answers.
const Path = "/admission"

// patience is how long a judgement may take. It is less than the API server
// waits, so that what was found by then is still said.
const patience = 700 * time.Millisecond

// Desk judges what people write.
type Desk struct {
	// Cached reads are from the controller's caches, Live ones are not.
	Cached, Live client.Reader
	Books        Books
	// Namespaces are the agents' rules about networks of other namespaces.
	Namespaces attach.Namespaces
	// Deny refuses Pods that can never be attached instead of warning.
	Deny bool
	Log  *slog.Logger
}

// verdict is what is answered.
type verdict struct {
	// denied is the reason to refuse the request, "" to let it pass.
	denied   string
	warnings []string
}

func (v *verdict) warn(format string, args ...any) {
	v.warnings = append(v.warnings, fmt.Sprintf(format, args...))
}

// Handle answers one request. It lets pass what it cannot judge.
func (d *Desk) Handle(ctx context.Context, req admission.Request) (response admission.Response) {
	defer func() {
		if p := recover(); p != nil {
			d.Log.Error("judging a request panicked", "resource", req.Resource.Resource, "object", req.Namespace+"/"+req.Name, "panic", p, "stack", string(debug.Stack()))
			response = admission.Allowed("")
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	v, err := d.judge(ctx, req)
	if err != nil {
		d.Log.Debug("a request was not judged", "resource", req.Resource.Resource, "object", req.Namespace+"/"+req.Name, "err", err)
	}
	response = admission.Allowed("")
	if v.denied != "" {
		response = admission.Denied(v.denied)
	}
	return response.WithWarnings(worded(v.warnings)...)
}

func (d *Desk) judge(ctx context.Context, req admission.Request) (verdict, error) {
	switch req.Resource.Resource {
	case "pods":
		return d.pod(ctx, req)
	case "deployments", "statefulsets", "daemonsets", "replicasets", "jobs", "cronjobs":
		return d.workload(ctx, req)
	case "ippools":
		return judged(ctx, req, d.pool)
	case "networks":
		return judged(ctx, req, d.network)
	case "network-attachment-definitions":
		return judged(ctx, req, d.definition)
	case "ipclaims":
		return judged(ctx, req, d.claim)
	}
	return verdict{}, fmt.Errorf("resource %s is not judged", req.Resource.Resource)
}

// kinds are the objects that are judged whole.
type kinds interface {
	v1alpha1.IPPool | v1alpha1.Network | v1alpha1.IPClaim | nadv1.NetworkAttachmentDefinition
}

// judged reads the object of a request and the one that it replaces. A nil new
// one is a deletion, a nil old one a creation.
func judged[T kinds](ctx context.Context, req admission.Request, judge func(ctx context.Context, next, old *T) (verdict, error)) (verdict, error) {
	read := func(raw []byte) (*T, error) {
		if len(raw) == 0 || string(raw) == "null" {
			return nil, nil
		}
		o := new(T)
		if err := json.Unmarshal(raw, o); err != nil {
			return nil, fmt.Errorf("read the object of the request: %w", err)
		}
		return o, nil
	}
	next, err := read(req.Object.Raw)
	if err != nil {
		return verdict{}, err
	}
	old, err := read(req.OldObject.Raw)
	if err != nil {
		return verdict{}, err
	}
	if next == nil && (old == nil || req.Operation != admissionv1.Delete) {
		return verdict{}, fmt.Errorf("the request has no object")
	}
	return judge(ctx, next, old)
}
