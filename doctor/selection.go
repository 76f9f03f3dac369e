package doctor

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	corev1 "k8s.io/api/core/v1"
)

// Selection is one network that a Pod asks for.
type Selection struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Interface string `json:"interface"`
}

// ParseSelections reads the annotation k8s.v1.cni.cncf.io/networks of a Pod in
// a namespace: a list of [namespace/]name[@interface] or of JSON objects
// (Multi-Network specification v1.3, clause 4.1).
func ParseSelections(annotation, namespace string) ([]Selection, error) {
	text := strings.TrimSpace(annotation)
	if text == "" {
		return nil, nil
	}
	var all []Selection
	if strings.ContainsAny(text, `[{"`) {
		if err := json.Unmarshal([]byte(text), &all); err != nil {
			return nil, locate(text, err)
		}
	} else {
		for _, element := range strings.Split(text, ",") {
			all = append(all, parseShort(strings.TrimSpace(element)))
		}
	}
	for i := range all {
		if all[i].Name == "" {
			return nil, fmt.Errorf("element %d has no name", i+1)
		}
		if strings.Contains(all[i].Name, "/") {
			return nil, fmt.Errorf("element %d: %q has more than one /", i+1, all[i].Name)
		}
		if all[i].Namespace == "" {
			all[i].Namespace = namespace
		}
	}
	return all, nil
}

func parseShort(element string) (s Selection) {
	element, s.Interface, _ = strings.Cut(element, "@")
	if namespace, name, ok := strings.Cut(element, "/"); ok {
		s.Namespace, s.Name = namespace, name
	} else {
		s.Name = element
	}
	return s
}

// Selections are the networks that a Pod asks for.
func Selections(p *corev1.Pod) ([]Selection, error) {
	return ParseSelections(p.Annotations[nadv1.NetworkAttachmentAnnot], p.Namespace)
}

// Status is what a Pod's annotation network-status says of its interfaces;
// empty when nothing was published.
func Status(p *corev1.Pod) ([]nadv1.NetworkStatus, error) {
	text := p.Annotations[nadv1.NetworkStatusAnnot]
	if text == "" {
		return nil, nil
	}
	var all []nadv1.NetworkStatus
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return nil, errors.New("annotation network-status: " + err.Error())
	}
	return all, nil
}
