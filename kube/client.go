package kube

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

// Client holds one bare REST client per API group. There is no generated clientset below it: each of those registers every type of
// Kubernetes, which is more memory than the rest of an agent.
type Client struct {
	// Core is v1 in protobuf: nodes, events, pods/status.
	Core rest.Interface
	// Tsunagu is tsunagu.dev/v1alpha1 in JSON.
	Tsunagu rest.Interface
	// Networks is k8s.cni.cncf.io/v1 in JSON.
	Networks rest.Interface
	// Metadata reads objects without their spec and status.
	Metadata metadata.Interface
}

// Config reads how to reach the API server: from a kubeconfig file, or "" for the service account of the Pod we run in, whose token is
// read again as it is rotated.
func Config(kubeconfig string) (*rest.Config, error) {
	if kubeconfig == "" {
		cfg, err := rest.InClusterConfig()
		if err != nil {
			return nil, fmt.Errorf("read the service account: %w", err)
		}
		return cfg, nil
	}
	cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig %s: %w", kubeconfig, err)
	}
	return cfg, nil
}

// CountFunc is told of every answered request; code 0 is a request that got no answer.
type CountFunc func(verb, resource string, code int)

// Connect makes the clients. Nothing is sent yet. Count may be nil.
func Connect(cfg *rest.Config, count CountFunc) (*Client, error) {
	cfg = rest.CopyConfig(cfg)
	if cfg.QPS == 0 {
		cfg.QPS, cfg.Burst = 100, 200
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = "tsunagu"
	}
	if count != nil {
		cfg.Wrap(func(next http.RoundTripper) http.RoundTripper { return counter{next, count} })
	}
	shared, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("prepare the connection to %s: %w", cfg.Host, err)
	}
	c := &Client{}
	for _, g := range []struct {
		to    *rest.Interface
		group schema.GroupVersion
		add   func(*runtime.Scheme) error
		media string
	}{
		{&c.Core, corev1.SchemeGroupVersion, corev1.AddToScheme, runtime.ContentTypeProtobuf},
		{&c.Tsunagu, v1alpha1.GroupVersion, v1alpha1.AddToScheme, runtime.ContentTypeJSON},
		{&c.Networks, nadv1.SchemeGroupVersion, nadv1.AddToScheme, runtime.ContentTypeJSON},
	} {
		if *g.to, err = groupClient(cfg, shared, g.group, g.add, g.media); err != nil {
			return nil, fmt.Errorf("prepare the client of %s: %w", g.group, err)
		}
	}
	if c.Metadata, err = metadata.NewForConfigAndClient(cfg, shared); err != nil {
		return nil, fmt.Errorf("prepare the metadata client: %w", err)
	}
	return c, nil
}

func groupClient(cfg *rest.Config, shared *http.Client, group schema.GroupVersion, add func(*runtime.Scheme) error, media string) (rest.Interface, error) {
	scheme := runtime.NewScheme()
	if err := add(scheme); err != nil {
		return nil, err
	}
	metav1.AddToGroupVersion(scheme, group)
	own := rest.CopyConfig(cfg)
	own.GroupVersion = &group
	own.APIPath = "/apis"
	if group.Group == "" {
		own.APIPath = "/api"
	}
	own.ContentType = media
	own.AcceptContentTypes = media
	if media != runtime.ContentTypeJSON {
		own.AcceptContentTypes += "," + runtime.ContentTypeJSON
	}
	own.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	return rest.RESTClientForConfigAndClient(own, shared)
}

// counter tells what became of each request.
type counter struct {
	next  http.RoundTripper
	count CountFunc
}

func (c counter) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.next.RoundTrip(r)
	code := 0
	if err == nil {
		code = resp.StatusCode
	}
	verb, resource := describe(r)
	c.count(verb, resource, code)
	return resp, err
}

// WrappedRoundTripper lets client-go find the transport below.
func (c counter) WrappedRoundTripper() http.RoundTripper { return c.next }

// describe gives the verb and the resource of a request by its path: /api/v1/[namespaces/NS/]RESOURCE[/NAME[/SUB]].
func describe(r *http.Request) (verb, resource string) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	skip := 3
	if parts[0] == "api" {
		skip = 2
	}
	parts = parts[min(skip, len(parts)):]
	if len(parts) > 2 && parts[0] == "namespaces" {
		parts = parts[2:]
	}
	if len(parts) > 0 {
		resource = parts[0]
	}
	if len(parts) > 2 {
		resource += "/" + parts[2]
	}
	verb = strings.ToLower(r.Method)
	if verb == "get" && len(parts) < 2 {
		verb = "list"
		if watch, _ := strconv.ParseBool(r.URL.Query().Get("watch")); watch {
			verb = "watch"
		}
	}
	return verb, resource
}
