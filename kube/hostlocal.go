package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"

	"github.com/tsunagu-net/tsunagu/attach"
)

// pageOfPods bounds one answer of the API server.
const pageOfPods = 500

var podObjects = schema.GroupVersionResource{Version: "v1", Resource: "pods"}

// Elsewhere finds Pods of other nodes on a network.
type Elsewhere struct {
	client metadata.Interface
	node   string
}

// NewElsewhere looks from a node.
func NewElsewhere(c *Client, node string) Elsewhere { return Elsewhere{c.Metadata, node} }

// Other finds a Pod of another node that is on a network, namespace/name, the one with an address of ips if there is such a one
// (attach.Elsewhere). The name is "" when there is none. It reads all Pods of the cluster without spec and status: who asks often must
// not.
func (e Elsewhere) Other(ctx context.Context, network string, ips []string) (found attach.Neighbour, err error) {
	o := metav1.ListOptions{FieldSelector: "spec.nodeName!=" + e.node + ",spec.nodeName!=", Limit: pageOfPods}
	for {
		page, err := e.client.Resource(podObjects).List(ctx, o)
		if err != nil {
			return found, fmt.Errorf("look for Pods of other nodes on network %s: %w", network, err)
		}
		for _, pod := range page.Items {
			if !strings.Contains(pod.Annotations[statusAnnotation], network) {
				continue
			}
			if n := neighbour(pod, network, ips); n.Same != "" || n.Pod != "" && found.Pod == "" {
				if found = n; n.Same != "" {
					return found, nil
				}
			}
		}
		if o.Continue = page.Continue; o.Continue == "" {
			return found, nil
		}
	}
}

// neighbour reads the network-status of a Pod.
func neighbour(pod metav1.PartialObjectMetadata, network string, ips []string) (n attach.Neighbour) {
	var entries []struct {
		Name string   `json:"name"`
		IPs  []string `json:"ips"`
	}
	if json.Unmarshal([]byte(pod.Annotations[statusAnnotation]), &entries) != nil {
		return n
	}
	for _, entry := range entries {
		if entry.Name != network {
			continue
		}
		n.Pod = pod.Namespace + "/" + pod.Name
		for _, ip := range entry.IPs {
			if slices.Contains(ips, ip) {
				n.Same = ip
			}
		}
	}
	return n
}
