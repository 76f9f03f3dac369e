package snapshot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	"golang.org/x/sync/errgroup"
	admissionregv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	crdv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/ipam/legacy"
)

// Snapshot is what was read of a cluster: one list per resource,
// each complete as of one resource version, the lists not all of the same.
type Snapshot struct {
	objects     int // of files
	Time        time.Time
	Nodes       []corev1.Node
	Namespaces  []corev1.Namespace
	Pods        []corev1.Pod
	Events      []corev1.Event // of type Warning
	DaemonSets  []appsv1.DaemonSet
	Deployments []appsv1.Deployment
	CRDs        []crdv1.CustomResourceDefinition
	Definitions []nadv1.NetworkAttachmentDefinition
	Networks    []v1alpha1.Network
	Pools       []v1alpha1.IPPool
	OnNodes     []v1alpha1.NodeNetwork
	Blocks      []v1alpha1.IPBlock
	Addresses   []v1alpha1.IPAddress
	// Webhooks and Secrets are those of tsunagu's admission; of Secrets only
	// certificates are read, and no keys.
	Webhooks []admissionregv1.ValidatingWebhookConfiguration
	Secrets  []CertificateSecret
	// What whereabouts has given out; read when named only.
	WhereaboutsPools        []legacy.IPPool
	WhereaboutsReservations []legacy.Reservation
	WhereaboutsSlices       []legacy.SlicePool
	// What Cluster API has of machines; read when named only.
	MachineGroups    []unstructured.Unstructured
	Machines         []unstructured.Unstructured
	MachineTemplates []unstructured.Unstructured
	// ScaleEvents are what Cluster Autoscaler says of Pods; read when named only.
	ScaleEvents []corev1.Event
	// Who may do what, Services and NetworkPolicies; read when named only.
	Roles               []rbacv1.Role
	ClusterRoles        []rbacv1.ClusterRole
	RoleBindings        []rbacv1.RoleBinding
	ClusterRoleBindings []rbacv1.ClusterRoleBinding
	Services            []corev1.Service
	NetworkPolicies     []networkingv1.NetworkPolicy
	// Texts are logs and configuration files.
	Texts []Text
	// Unread says why a resource could not be listed: not permitted, or not
	// known to the API server.
	Unread map[string]string
}

// CertificateSecret is a Secret of type kubernetes.io/tls without its keys.
type CertificateSecret struct {
	metav1.ObjectMeta `json:"metadata"`
	Data              struct {
		Serving []byte `json:"tls.crt"`
	} `json:"data"`
}

// Progress is told how many objects of a resource were read so far.
type Progress func(resource string, objects int)

// Unreachable is the error of a request that got no answer from an API server,
// or was refused by it as coming from nobody it knows.
type Unreachable struct {
	Host  string
	Cause error
}

func (u Unreachable) Error() string { return fmt.Sprintf("ask the API server %s: %v", u.Host, u.Cause) }
func (u Unreachable) Unwrap() error { return u.Cause }

// Reader reads Snapshots of one cluster.
type Reader struct {
	rest rest.Interface
	host string
}

// NewReader makes a Reader. Nothing is sent yet.
func NewReader(cfg *rest.Config) (*Reader, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.QPS, cfg.Burst = 50, 100
	cfg.ContentType = runtime.ContentTypeJSON
	scheme := runtime.NewScheme() // knows the API server's errors; lists are read as plain JSON
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	cfg.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	client, err := rest.UnversionedRESTClientFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("prepare the connection to %s: %w", cfg.Host, err)
	}
	return &Reader{client, cfg.Host}, nil
}

// Snapshot lists the named resources, all of them when none is named. A list
// that is not permitted or not known is noted in Unread; an API server that
// does not answer is an Unreachable.
func (r *Reader) Snapshot(ctx context.Context, progress Progress, resources ...string) (*Snapshot, error) {
	s := &Snapshot{Time: time.Now(), Unread: map[string]string{}}
	lists := s.lists()
	if len(resources) == 0 {
		for name, l := range lists {
			if !l.foreign {
				resources = append(resources, name)
			}
		}
	}
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(4)
	for _, name := range resources {
		l, ok := lists[name]
		if !ok {
			return nil, fmt.Errorf("resource %s is not part of a snapshot", name)
		}
		group.Go(func() error {
			err := l.read(ctx, r, name, progress)
			why, fatal := explain(err)
			if fatal {
				return Unreachable{r.host, err}
			}
			if why != "" {
				mu.Lock()
				s.Unread[name] = why
				mu.Unlock()
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return s, nil
}

func ownPath(resource string) string {
	return "/apis/" + v1alpha1.GroupName + "/" + v1alpha1.GroupVersion.Version + "/" + resource
}

// explain sorts what came of a request: fine, a list we have to do without, or
// no API server that listens to us.
func explain(err error) (why string, fatal bool) {
	var status apierrors.APIStatus
	switch {
	case err == nil:
		return "", false
	case apierrors.IsForbidden(err):
		return "not permitted", false
	case apierrors.IsNotFound(err):
		return Unknown, false
	case apierrors.IsUnauthorized(err):
		return "", true
	case errors.As(err, &status):
		return err.Error(), false
	}
	return "", true
}

// Unknown is why a list of something that is not installed was not read.
const Unknown = "the API server does not know this resource"

const (
	// pageSize is how many objects one request lists.
	pageSize = 500
	// retries is how often a request is sent again after a broken connection or
	// when the API server asks to come back; people wait for it.
	retries = 2
)

// answer is the body of a result, or the error in the API server's own words.
func answer(result rest.Result) ([]byte, error) {
	if err := result.Error(); err != nil {
		return nil, err
	}
	return result.Raw()
}

// AskPod gets a path from a port of a Pod through the API server.
func (r *Reader) AskPod(ctx context.Context, namespace, pod string, port int, at string) ([]byte, error) {
	raw, err := answer(r.rest.Get().MaxRetries(0).AbsPath(fmt.Sprintf("/api/v1/namespaces/%s/pods/%s:%d/proxy%s", namespace, pod, port, at)).Do(ctx))
	if err != nil {
		return nil, fmt.Errorf("ask Pod %s/%s: %w", namespace, pod, err)
	}
	return raw, nil
}

// Version is the API server's version, such as v1.37.2.
func (r *Reader) Version(ctx context.Context) (string, error) {
	raw, err := answer(r.rest.Get().AbsPath("/version").Do(ctx))
	if err != nil {
		return "", Unreachable{r.host, err}
	}
	var v struct {
		GitVersion string `json:"gitVersion"`
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		return "", Unreachable{r.host, fmt.Errorf("its answer to GET /version is no Kubernetes version: %w", err)}
	}
	return v.GitVersion, nil
}
