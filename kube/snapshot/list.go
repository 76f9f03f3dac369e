package snapshot

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// list is one list of a Snapshot: where it is read, and where it goes.
type list struct {
	path, kind, fieldSelector string
	// older is where a list is that an API server without path has.
	older string
	// suffix: kind is the end of the kinds that belong to the list.
	suffix bool
	// foreign lists are read only when they are named.
	foreign bool
	// live lists are another view of a list that files have whole.
	live bool
	// add takes one object; reset forgets all that were taken.
	add   func(raw json.RawMessage) error
	reset func()
	count func() int
}

// lists are all lists of a Snapshot, by resource.
func (s *Snapshot) lists() map[string]list {
	const warnings = "type=Warning"
	all := map[string]list{
		"nodes":                          into("/api/v1/nodes", "Node", &s.Nodes),
		"namespaces":                     into("/api/v1/namespaces", "Namespace", &s.Namespaces),
		"pods":                           into("/api/v1/pods", "Pod", &s.Pods),
		"events":                         into("/api/v1/events", "Event", &s.Events),
		"daemonsets":                     into("/apis/apps/v1/daemonsets", "DaemonSet", &s.DaemonSets),
		"deployments":                    into("/apis/apps/v1/deployments", "Deployment", &s.Deployments),
		"customresourcedefinitions":      into("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", "CustomResourceDefinition", &s.CRDs),
		"network-attachment-definitions": into("/apis/k8s.cni.cncf.io/v1/network-attachment-definitions", "NetworkAttachmentDefinition", &s.Definitions),
		"networks":                       into(ownPath("networks"), "Network", &s.Networks),
		"nodenetworks":                   into(ownPath("nodenetworks"), "NodeNetwork", &s.OnNodes),
		"ippools":                        into(ownPath("ippools"), "IPPool", &s.Pools),
		"ipblocks":                       into(ownPath("ipblocks"), "IPBlock", &s.Blocks),
		"ipaddresses":                    into(ownPath("ipaddresses"), "IPAddress", &s.Addresses),
	}
	for resource, l := range map[string]list{
		"validatingwebhookconfigurations": into("/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations", "ValidatingWebhookConfiguration", &s.Webhooks),
		"secrets":                         into("/api/v1/secrets", "Secret", &s.Secrets),
	} {
		l.fieldSelector = "metadata.name=" + admissionNames[resource]
		all[resource] = l
	}
	events := all["events"]
	events.fieldSelector = warnings
	all["events"] = events
	for resource, l := range map[string]list{
		WhereaboutsPools:        into(whereaboutsPath+"ippools", "IPPool", &s.WhereaboutsPools),
		WhereaboutsReservations: into(whereaboutsPath+"overlappingrangeipreservations", "OverlappingRangeIPReservation", &s.WhereaboutsReservations),
		WhereaboutsSlices:       into(whereaboutsPath+"nodeslicepools", "NodeSlicePool", &s.WhereaboutsSlices),
	} {
		l.foreign = true
		all[resource] = l
	}
	verdicts := into("/api/v1/events", "Event", &s.ScaleEvents)
	verdicts.fieldSelector, verdicts.foreign, verdicts.live = "reason=NotTriggerScaleUp", true, true
	all[ScaleEvents] = verdicts
	for resource, l := range s.moreLists() {
		l.foreign = true
		all[resource] = l
	}
	for resource, l := range s.machineLists() {
		l.foreign = true
		all[resource] = l
	}
	return all
}

// admissionNames are the objects of tsunagu's admission (kube/admission).
var admissionNames = map[string]string{"validatingwebhookconfigurations": "tsunagu", "secrets": "tsunagu-webhook"}

// The lists of whereabouts, as they are named to Reader.Snapshot.
const (
	WhereaboutsPools        = "ippools.whereabouts.cni.cncf.io"
	WhereaboutsReservations = "overlappingrangeipreservations.whereabouts.cni.cncf.io"
	WhereaboutsSlices       = "nodeslicepools.whereabouts.cni.cncf.io"

	whereaboutsPath = "/apis/whereabouts.cni.cncf.io/v1alpha1/"
)

func into[T any](path, kind string, to *[]T) list {
	return list{path: path, kind: kind, count: func() int { return len(*to) }, reset: func() { *to = nil },
		add: func(raw json.RawMessage) error {
			var one T
			if err := json.Unmarshal(raw, &one); err != nil {
				return err
			}
			*to = append(*to, one)
			return nil
		}}
}

// read lists a resource page by page. What could not be read to its end is empty.
func (l list) read(ctx context.Context, r *Reader, resource string, progress Progress) (err error) {
	defer func() {
		if err != nil {
			l.reset()
		}
	}()
	next := ""
	for {
		request := r.rest.Get().MaxRetries(retries).AbsPath(l.path).Param("limit", strconv.Itoa(pageSize))
		if l.fieldSelector != "" {
			request.Param("fieldSelector", l.fieldSelector)
		}
		if next != "" {
			request.Param("continue", next)
		}
		raw, err := answer(request.Do(ctx))
		if apierrors.IsNotFound(err) && l.older != "" {
			l.path, l.older = l.older, ""
			continue
		}
		if apierrors.IsResourceExpired(err) && next != "" {
			l.reset() // compacted in the middle: a list of two versions is worse than reading it again
			next = ""
			continue
		}
		if err != nil {
			return err
		}
		var page struct {
			metav1.ListMeta `json:"metadata"`
			Items           []json.RawMessage `json:"items"`
		}
		if err := json.Unmarshal(raw, &page); err != nil {
			return unreadable(resource, err)
		}
		for _, item := range page.Items {
			if err := l.add(item); err != nil {
				return unreadable(resource, err)
			}
		}
		if progress != nil {
			progress(resource, l.count())
		}
		if next = page.Continue; next == "" {
			return nil
		}
	}
}

func unreadable(resource string, err error) error {
	return apierrors.NewInternalError(fmt.Errorf("the list of %s cannot be read: %w", resource, err))
}
