package drive

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"sort"
)

// StatusAnnotation is where a Pod's networks are published (Kubernetes
// multi-network specification v1.3, clause 3.6).
const StatusAnnotation = "k8s.v1.cni.cncf.io/network-status"

// Pod is what a user sees of a Pod and its networks.
type Pod struct {
	Namespace, Name, Node, UID, Phase string
	Ready, Deleted                    bool
	Interfaces                        []Interface
}

// Interface is one entry of the network-status annotation.
type Interface struct {
	Network string       `json:"name"`
	Name    string       `json:"interface"`
	IPs     []netip.Addr `json:"ips"`
	MAC     string       `json:"mac"`
	Default bool         `json:"default"`
}

// On returns the Pod's first interface on a network ("" is the default
// network), or false.
func (p Pod) On(network string) (Interface, bool) {
	for _, i := range p.Interfaces {
		if i.Network == network || (network == "" && i.Default) {
			return i, true
		}
	}
	return Interface{}, false
}

// Pods lists Pods by namespace ("" is all) and label selector, sorted by name.
func (l Lab) Pods(ctx context.Context, namespace, selector string) ([]Pod, error) {
	args := []string{"pods"}
	if namespace == "" {
		args = append(args, "-A")
	} else {
		args = append(args, "-n", namespace)
	}
	if selector != "" {
		args = append(args, "-l", selector)
	}
	var list struct{ Items []rawPod }
	if err := l.Get(ctx, &list, args...); err != nil {
		return nil, err
	}
	pods := make([]Pod, 0, len(list.Items))
	for _, raw := range list.Items {
		p, err := raw.pod()
		if err != nil {
			return nil, err
		}
		pods = append(pods, p)
	}
	sort.Slice(pods, func(i, j int) bool {
		if pods[i].Namespace != pods[j].Namespace {
			return pods[i].Namespace < pods[j].Namespace
		}
		return pods[i].Name < pods[j].Name
	})
	return pods, nil
}

type rawPod struct {
	Metadata struct {
		Name, Namespace, UID string
		DeletionTimestamp    *string
		Annotations          map[string]string
	}
	Spec   struct{ NodeName string }
	Status struct {
		Phase      string
		Conditions []struct{ Type, Status string }
	}
}

func (r rawPod) pod() (Pod, error) {
	p := Pod{
		Namespace: r.Metadata.Namespace, Name: r.Metadata.Name, UID: r.Metadata.UID,
		Node: r.Spec.NodeName, Phase: r.Status.Phase, Deleted: r.Metadata.DeletionTimestamp != nil,
	}
	for _, c := range r.Status.Conditions {
		p.Ready = p.Ready || (c.Type == "Ready" && c.Status == "True")
	}
	if text := r.Metadata.Annotations[StatusAnnotation]; text != "" {
		if err := json.Unmarshal([]byte(text), &p.Interfaces); err != nil {
			return p, fmt.Errorf("network-status of Pod %s/%s: %w", p.Namespace, p.Name, err)
		}
	}
	return p, nil
}

// Ready waits until exactly n Pods match and all of them are ready with their
// network-status published.
func (l Lab) Ready(ctx context.Context, namespace, selector string, n int) ([]Pod, error) {
	var pods []Pod
	err := Until(ctx, pollInterval, func(ctx context.Context) error {
		var err error
		if pods, err = l.Pods(ctx, namespace, selector); err != nil {
			return err
		}
		ready := 0
		for _, p := range pods {
			if p.Ready && !p.Deleted && len(p.Interfaces) > 0 {
				ready++
			}
		}
		if ready != n || len(pods) != n {
			return fmt.Errorf("%d of %d Pods %s in %s are ready (%d exist)", ready, n, selector, namespace, len(pods))
		}
		return nil
	})
	return pods, err
}

// Gone waits until no Pod matches.
func (l Lab) Gone(ctx context.Context, namespace, selector string) error {
	return Until(ctx, pollInterval, func(ctx context.Context) error {
		pods, err := l.Pods(ctx, namespace, selector)
		if err == nil && len(pods) > 0 {
			err = fmt.Errorf("%d Pods %s still exist in %s", len(pods), selector, namespace)
		}
		return err
	})
}

// Duplicates names every address that two of the Pods hold on one network, and
// on the default network.
func Duplicates(pods []Pod) []string {
	type place struct {
		network string
		ip      netip.Addr
	}
	held := map[place]string{}
	var found []string
	for _, p := range pods {
		for _, i := range p.Interfaces {
			for _, ip := range i.IPs {
				at, who := place{i.Network, ip}, p.Namespace+"/"+p.Name+" "+i.Name
				if other, taken := held[at]; taken {
					found = append(found, fmt.Sprintf("%s on %s: %s and %s", ip, i.Network, other, who))
				}
				held[at] = who
			}
		}
	}
	return found
}
