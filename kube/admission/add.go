package admission

import (
	"fmt"
	"log/slog"
	"net"
	"strconv"

	admissionregv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/attach"
)

// Mode says what is done about Pods that can never be attached.
type Mode string

const (
	// Warn, the default: whoever creates it is told, and the node refuses it.
	Warn Mode = "warn"
	// Deny: it is not created.
	Deny Mode = "deny"
	// Off: nothing is judged.
	Off Mode = "off"
)

// UnmarshalText reads a flag.
func (m *Mode) UnmarshalText(text []byte) error {
	switch Mode(text) {
	case Warn, Deny, Off:
		*m = Mode(text)
		return nil
	}
	return fmt.Errorf("%q is not warn, deny or off", text)
}

// MarshalText writes a flag.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m), nil }

// Options say how admission runs.
type Options struct {
	Mode Mode
	// Place keeps Pods off nodes that do not have their networks.
	Place bool
	// Gates keeps Pods from the scheduler while a node is brought onto their networks.
	Gates bool
	// Port on the node at which the API server is answered.
	Port int
	// Namespace of the controller.
	Namespace string
	// Namespaces are the agents' rules about networks of other namespaces.
	Namespaces attach.Namespaces
}

// Add wires admission into a manager.
func Add(m ctrl.Manager, cfg *rest.Config, o Options, books Books, log *slog.Logger) error {
	log = log.With("part", "admission")
	own, err := ownClient(m, cfg)
	if err != nil {
		return err
	}
	configuration := &Configuration{Client: own, Namespace: o.Namespace, Off: o.Mode == Off, Deny: o.Mode == Deny, Anywhere: !o.Place, Log: log, wake: make(chan struct{}, 1)}
	if o.Mode == Off && !o.Place {
		return m.Add(configuration)
	}
	desk := &Desk{Cached: m.GetClient(), Live: own, Books: books, Namespaces: o.Namespaces, Deny: o.Mode == Deny, Log: log}
	place := &Placement{Cached: m.GetClient(), Live: own, Log: log, Gates: o.Gates}
	server, err := NewServer(net.JoinHostPort("", strconv.Itoa(o.Port)), map[string]admission.Handler{Path: desk, PlacementPath: place}, log)
	if err != nil {
		return err
	}
	configuration.Serving = server.Serving
	certificates := &Certificates{Client: own, Namespace: o.Namespace, Server: server, Log: log, bundle: configuration.trust}
	for _, part := range []manager.Runnable{certificates, server, configuration} {
		if err := m.Add(part); err != nil {
			return fmt.Errorf("add admission to the controller: %w", err)
		}
	}
	return nil
}

// ownClient reads and writes without a cache, and without a limit of its own:
// a person waits for the answer.
func ownClient(m ctrl.Manager, cfg *rest.Config) (client.Client, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.QPS = -1
	scheme, err := ownKinds()
	if err != nil {
		return nil, fmt.Errorf("register kinds: %w", err)
	}
	c, err := client.New(cfg, client.Options{Scheme: scheme, Mapper: m.GetRESTMapper()})
	if err != nil {
		return nil, fmt.Errorf("reach the API server: %w", err)
	}
	return c, nil
}

// ownKinds are what is read and written here; whole groups would cost memory.
func ownKinds() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, nadv1.AddToScheme, v1alpha1.AddToScheme, metav1.AddMetaToScheme} {
		if err := add(s); err != nil {
			return nil, err
		}
	}
	s.AddKnownTypes(admissionregv1.SchemeGroupVersion, &admissionregv1.ValidatingWebhookConfiguration{}, &admissionregv1.ValidatingWebhookConfigurationList{},
		&admissionregv1.MutatingWebhookConfiguration{}, &admissionregv1.MutatingWebhookConfigurationList{})
	metav1.AddToGroupVersion(s, admissionregv1.SchemeGroupVersion)
	metav1.AddToGroupVersion(s, rbacv1.SchemeGroupVersion)
	return s, nil
}
