package admission

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	admissionregv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// ConfigurationName is the ValidatingWebhookConfiguration, and the mutating one.
	ConfigurationName = "tsunagu"
	// ownerName is the ClusterRole of the controller: what goes with the
	// install goes with it.
	ownerName = "tsunagu-controller"
)

// Configuration keeps the ValidatingWebhookConfiguration, and the
// MutatingWebhookConfiguration by which Pods are placed. Only the leader does;
// the others answer what it sends them.
type Configuration struct {
	// Client reads and writes without a cache.
	Client    client.Client
	Namespace string
	// Off removes the configuration; Deny also sends the Pods that controllers
	// make. Anywhere removes the one by which Pods are placed.
	Off, Deny, Anywhere bool
	// Serving tells whether this replica would answer. The configuration is
	// not made before.
	Serving func() bool
	Log     *slog.Logger

	bundle atomic.Pointer[[]byte]
	wake   chan struct{}
}

// Trust has the configuration speak of these authorities.
func (c *Configuration) trust(bundle []byte) {
	c.bundle.Store(&bundle)
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// NeedLeaderElection tells that one keeps it.
func (*Configuration) NeedLeaderElection() bool { return true }

// Start keeps the configuration until the context ends.
func (c *Configuration) Start(ctx context.Context) error {
	for {
		pause := lookEvery
		done, err := c.once(ctx)
		if err != nil && ctx.Err() == nil {
			c.Log.Warn("the webhook's configuration is not kept", "err", err)
		}
		if err != nil || !done {
			pause = time.Second
		}
		select {
		case <-time.After(pause):
		case <-c.wake:
		case <-ctx.Done():
			return nil
		}
	}
}

// once makes the configurations so. It gives false while that must wait.
func (c *Configuration) once(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	judging, err := keep(ctx, c, c.Off, &admissionregv1.ValidatingWebhookConfiguration{}, func(o *admissionregv1.ValidatingWebhookConfiguration, bundle []byte) {
		o.Webhooks = configuration(c.Namespace, bundle, c.Deny).Webhooks
	})
	placing, err2 := keep(ctx, c, c.Anywhere, &admissionregv1.MutatingWebhookConfiguration{}, func(o *admissionregv1.MutatingWebhookConfiguration, bundle []byte) {
		o.Webhooks = placement(c.Namespace, bundle)
	})
	return judging && placing, errors.Join(err, err2)
}

// keep makes one of the configurations so: old is an empty one, and fill writes what it should say.
func keep[T client.Object](ctx context.Context, c *Configuration, off bool, old T, fill func(T, []byte)) (bool, error) {
	old.SetName(ConfigurationName)
	err := c.Client.Get(ctx, client.ObjectKeyFromObject(old), old)
	missing := apierrors.IsNotFound(err)
	if err != nil && !missing {
		return false, fmt.Errorf("read the webhook's configuration: %w", err)
	}
	if off {
		if missing {
			return true, nil
		}
		return true, client.IgnoreNotFound(c.Client.Delete(ctx, old))
	}
	bundle := c.bundle.Load()
	if bundle == nil || !c.Serving() {
		return false, nil
	}
	owner, err := c.owner(ctx)
	if err != nil {
		return false, err
	}
	next := old.DeepCopyObject().(T)
	fill(next, *bundle)
	next.SetOwnerReferences(owner)
	switch {
	case missing:
		next.SetName(ConfigurationName)
		next.SetLabels(ownLabels())
		err = c.Client.Create(ctx, next)
	case equality.Semantic.DeepEqual(old, next):
		return true, nil
	default:
		err = c.Client.Update(ctx, next)
	}
	if err != nil {
		return false, fmt.Errorf("write the webhook's configuration: %w", err)
	}
	c.Log.Info("wrote the webhook's configuration", "kind", fmt.Sprintf("%T", old))
	return true, nil
}

// owner refers to the ClusterRole that the install brings; none outside of it.
func (c *Configuration) owner(ctx context.Context) ([]metav1.OwnerReference, error) {
	role := &metav1.PartialObjectMetadata{}
	role.SetGroupVersionKind(rbacv1.SchemeGroupVersion.WithKind("ClusterRole"))
	err := c.Client.Get(ctx, client.ObjectKey{Name: ownerName}, role)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read ClusterRole %s: %w", ownerName, err)
	}
	return []metav1.OwnerReference{{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRole", Name: role.Name, UID: role.UID}}, nil
}

// timeout is how long the API server waits for an answer, in seconds: the
// least that can be said. A request that gets none passes.
const timeout = 1

// configuration is what the API server sends and how. Every field is written
// out, as the API server would fill in the defaults, so that it can be
// compared.
func configuration(namespace string, bundle []byte, deny bool) *admissionregv1.ValidatingWebhookConfiguration {
	of := func(name string, rules []admissionregv1.RuleWithOperations, when ...admissionregv1.MatchCondition) admissionregv1.ValidatingWebhook {
		return admissionregv1.ValidatingWebhook{
			Name: name + ".admission.tsunagu.dev",
			ClientConfig: admissionregv1.WebhookClientConfig{CABundle: bundle, Service: &admissionregv1.ServiceReference{
				Namespace: namespace, Name: ServiceName, Path: new(Path), Port: new(int32(443))}},
			Rules:                   rules,
			FailurePolicy:           new(admissionregv1.Ignore),
			MatchPolicy:             new(admissionregv1.Equivalent),
			NamespaceSelector:       elsewhere(namespace),
			ObjectSelector:          &metav1.LabelSelector{},
			SideEffects:             new(admissionregv1.SideEffectClassNone),
			TimeoutSeconds:          new(int32(timeout)),
			AdmissionReviewVersions: []string{"v1"},
			MatchConditions:         when,
		}
	}
	write := []admissionregv1.OperationType{admissionregv1.Create, admissionregv1.Update}
	person := byPerson(namespace)
	pods := []admissionregv1.MatchCondition{selects("object")}
	if !deny {
		pods = append(pods, unowned)
	}
	return &admissionregv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: ConfigurationName, Labels: ownLabels()},
		Webhooks: []admissionregv1.ValidatingWebhook{
			of("pods", []admissionregv1.RuleWithOperations{
				rule([]admissionregv1.OperationType{admissionregv1.Create}, "", "v1", admissionregv1.NamespacedScope, "pods"),
			}, pods...),
			of("workloads", []admissionregv1.RuleWithOperations{
				rule(write, "apps", "v1", admissionregv1.NamespacedScope, "deployments", "statefulsets", "daemonsets", "replicasets"),
				rule(write, "batch", "v1", admissionregv1.NamespacedScope, "jobs"),
			}, person, unowned, selects("object.spec.template")),
			of("cronjobs", []admissionregv1.RuleWithOperations{
				rule(write, "batch", "v1", admissionregv1.NamespacedScope, "cronjobs"),
			}, person, unowned, selects("object.spec.jobTemplate.spec.template")),
			of("networks", []admissionregv1.RuleWithOperations{
				rule(write, "tsunagu.dev", "v1alpha1", admissionregv1.NamespacedScope, "ipclaims"),
				rule(write, "k8s.cni.cncf.io", "v1", admissionregv1.NamespacedScope, "network-attachment-definitions"),
				rule(append(write, admissionregv1.Delete), "tsunagu.dev", "v1alpha1", admissionregv1.ClusterScope, "networks", "ippools"),
			}, person),
		},
	}
}

// placement is which Pods the API server sends to be placed: those that select
// networks. Who has no answer lets a Pod pass as it is.
func placement(namespace string, bundle []byte) []admissionregv1.MutatingWebhook {
	return []admissionregv1.MutatingWebhook{{
		Name: "placement.admission.tsunagu.dev",
		ClientConfig: admissionregv1.WebhookClientConfig{CABundle: bundle, Service: &admissionregv1.ServiceReference{
			Namespace: namespace, Name: ServiceName, Path: new(PlacementPath), Port: new(int32(443))}},
		Rules: []admissionregv1.RuleWithOperations{
			rule([]admissionregv1.OperationType{admissionregv1.Create}, "", "v1", admissionregv1.NamespacedScope, "pods")},
		FailurePolicy:           new(admissionregv1.Ignore),
		MatchPolicy:             new(admissionregv1.Equivalent),
		NamespaceSelector:       elsewhere(namespace),
		ObjectSelector:          &metav1.LabelSelector{},
		SideEffects:             new(admissionregv1.SideEffectClassNone),
		TimeoutSeconds:          new(int32(timeout)),
		AdmissionReviewVersions: []string{"v1"},
		ReinvocationPolicy:      new(admissionregv1.IfNeededReinvocationPolicy),
		MatchConditions:         []admissionregv1.MatchCondition{selects("object")},
	}}
}

// elsewhere leaves out what must start before everything else.
func elsewhere(namespace string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
		{Key: "kubernetes.io/metadata.name", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"kube-system", namespace}}}}
}

func rule(operations []admissionregv1.OperationType, group, version string, scope admissionregv1.ScopeType, resources ...string) admissionregv1.RuleWithOperations {
	return admissionregv1.RuleWithOperations{Operations: operations, Rule: admissionregv1.Rule{
		APIGroups: []string{group}, APIVersions: []string{version}, Resources: resources, Scope: &scope}}
}

// selects is true of objects whose Pods select networks: others never come
// here.
func selects(at string) admissionregv1.MatchCondition {
	return admissionregv1.MatchCondition{Name: "selects-networks",
		Expression: fmt.Sprintf(`has(%[1]s.metadata) && has(%[1]s.metadata.annotations) && 'k8s.v1.cni.cncf.io/networks' in %[1]s.metadata.annotations`, at)}
}

// unowned is true of objects that no controller made: nobody reads warnings
// that a controller gets.
var unowned = admissionregv1.MatchCondition{Name: "made-by-no-controller",
	Expression: `!has(object.metadata.ownerReferences) || !object.metadata.ownerReferences.exists(o, has(o.controller) && o.controller)`}

// byPerson is true unless Kubernetes' own controllers or ours write.
func byPerson(namespace string) admissionregv1.MatchCondition {
	return admissionregv1.MatchCondition{Name: "written-by-no-controller", Expression: fmt.Sprintf(
		`request.userInfo.username != 'system:kube-controller-manager' && request.userInfo.username != 'system:serviceaccount:%s:tsunagu-controller' && `+
			`!(has(request.userInfo.groups) && 'system:serviceaccounts:kube-system' in request.userInfo.groups)`, namespace)}
}
