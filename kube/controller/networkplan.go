package controller

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	nadv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	k8slabels "k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

// networkPlan is what makes a Network so. Pools come first: a Pod that finds
// the definition must find its pools. Deletions come last.
type networkPlan struct {
	Create, Update, Delete []client.Object
	// Conflicts are objects of the wanted name that belong to somebody else.
	Conflicts []conflict
	// Draining are pools of subnets that are no longer part of the Network;
	// they stay until nothing holds an address of theirs.
	Draining []string
	// Namespaces is the number of namespaces that have, or will have, the
	// definition.
	Namespaces int
}

// conflict is an object in the way.
type conflict struct{ Kind, Namespace, Name, Owner string }

func (c conflict) String() string {
	name := c.Name
	if c.Namespace != "" {
		name = c.Namespace + "/" + c.Name
	}
	if c.Owner == "" {
		return fmt.Sprintf("%s %s exists and was not made for this Network: rename it or the Network", c.Kind, name)
	}
	return fmt.Sprintf("%s %s exists and belongs to %s: rename that or the Network", c.Kind, name, c.Owner)
}

// permitted returns the names of the namespaces that may use net, in order.
// Namespaces that are being deleted take no new objects and are left out.
func permitted(net *v1alpha1.Network, namespaces []metav1.PartialObjectMetadata) ([]string, error) {
	want := net.Spec.Namespaces
	selector := k8slabels.Nothing()
	if want != nil && want.Selector != nil {
		var err error
		if selector, err = metav1.LabelSelectorAsSelector(want.Selector); err != nil {
			return nil, fmt.Errorf("spec.namespaces.selector: %w", err)
		}
	}
	var names []string
	for _, n := range namespaces {
		if n.DeletionTimestamp != nil {
			continue
		}
		if want == nil || slices.Contains(want.Names, n.Name) || selector.Matches(k8slabels.Set(n.Labels)) {
			names = append(names, n.Name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// planNetwork compares what net should be with the objects that bear its label
// or its owner reference. inUse tells whether interfaces hold addresses of a
// pool.
func planNetwork(net *v1alpha1.Network, namespaces []string, definitions []nadv1.NetworkAttachmentDefinition, pools []v1alpha1.IPPool, inUse func(*v1alpha1.IPPool) bool) (networkPlan, error) {
	var plan networkPlan
	plan.pools(net, pools, inUse)
	err := plan.definitions(net, namespaces, definitions)
	return plan, err
}

func (p *networkPlan) pools(net *v1alpha1.Network, have []v1alpha1.IPPool, inUse func(*v1alpha1.IPPool) bool) {
	byName := map[string]*v1alpha1.IPPool{}
	for i := range have {
		byName[have[i].Name] = &have[i]
	}
	for _, s := range net.Spec.Subnets {
		want := pool(net, s)
		old := byName[want.Name]
		delete(byName, want.Name)
		switch {
		case old == nil:
			p.Create = append(p.Create, want)
		case !may(net, old):
			p.Conflicts = append(p.Conflicts, inTheWay("IPPool", old))
		case !sameMeta(old, want) || !equality.Semantic.DeepEqual(old.Spec.Subnet, want.Spec.Subnet) || old.Spec.Domain != want.Spec.Domain:
			next := old.DeepCopy()
			adoptMeta(next, want)
			next.Spec.Subnet, next.Spec.Domain = want.Spec.Subnet, want.Spec.Domain
			p.Update = append(p.Update, next)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		old := byName[name]
		if !metav1.IsControlledBy(old, net) || old.DeletionTimestamp != nil {
			continue
		}
		if inUse(old) {
			p.Draining = append(p.Draining, name)
			continue
		}
		p.Delete = append(p.Delete, old)
	}
}

func (p *networkPlan) definitions(net *v1alpha1.Network, namespaces []string, have []nadv1.NetworkAttachmentDefinition) error {
	byNamespace := map[string]*nadv1.NetworkAttachmentDefinition{}
	var rest []*nadv1.NetworkAttachmentDefinition
	for i := range have {
		if d := &have[i]; d.Name == net.Name {
			byNamespace[d.Namespace] = d
		} else {
			rest = append(rest, d)
		}
	}
	for _, ns := range namespaces {
		want, err := definition(net, ns)
		if err != nil {
			return err
		}
		old := byNamespace[ns]
		delete(byNamespace, ns)
		switch {
		case old == nil:
			p.Create = append(p.Create, want)
		case !may(net, old):
			p.Conflicts = append(p.Conflicts, inTheWay("NetworkAttachmentDefinition", old))
			continue
		case !sameMeta(old, want) || old.Spec.Config != want.Spec.Config:
			next := old.DeepCopy()
			adoptMeta(next, want)
			next.Spec.Config = want.Spec.Config
			p.Update = append(p.Update, next)
		}
		p.Namespaces++
	}
	for _, ns := range slices.Sorted(maps.Keys(byNamespace)) {
		rest = append(rest, byNamespace[ns])
	}
	for _, d := range rest {
		if metav1.IsControlledBy(d, net) && d.DeletionTimestamp == nil {
			p.Delete = append(p.Delete, d)
		}
	}
	return nil
}

// may tells whether an object of the wanted name may be written: it belongs to
// this Network, or to one of the same name that was deleted before.
func may(net *v1alpha1.Network, o metav1.Object) bool {
	owner := metav1.GetControllerOf(o)
	return owner != nil && owner.Kind == "Network" && owner.Name == net.Name &&
		owner.APIVersion == v1alpha1.GroupVersion.String()
}

func inTheWay(kind string, o metav1.Object) conflict {
	c := conflict{Kind: kind, Namespace: o.GetNamespace(), Name: o.GetName()}
	if owner := metav1.GetControllerOf(o); owner != nil {
		c.Owner = owner.Kind + " " + owner.Name
	}
	return c
}

func sameMeta(old, want metav1.Object) bool {
	owner := metav1.GetControllerOf(old)
	if owner == nil || owner.UID != want.GetOwnerReferences()[0].UID {
		return false
	}
	for k, v := range want.GetLabels() {
		if old.GetLabels()[k] != v {
			return false
		}
	}
	return true
}

// adoptMeta gives next the wanted labels and owner, and keeps other labels.
func adoptMeta(next, want metav1.Object) {
	all := maps.Clone(next.GetLabels())
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, want.GetLabels())
	next.SetLabels(all)
	next.SetOwnerReferences(want.GetOwnerReferences())
}

// sortConflicts orders conflicts for a stable message.
func sortConflicts(all []conflict) {
	slices.SortFunc(all, func(a, b conflict) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
}
