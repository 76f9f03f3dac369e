package ipam

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

// ManagedLabel says of an IPClaim that an agent made it for a Pod of a
// StatefulSet, and of other objects that nobody wrote them by hand.
const ManagedLabel = "app.kubernetes.io/managed-by"

// ManagedBy is the value of ManagedLabel.
const ManagedBy = "tsunagu"

// Claim is an IPClaim: the addresses and the MAC of one interface of a
// workload, which outlive its Pods.
type Claim struct {
	Meta
	Namespace string
	// Network is the definition, as namespace/name; Interface and Pod are ""
	// for any.
	Network, Interface, Pod string
	Retention               string
	// Wants are the addresses that are wanted, WantsMAC the MAC.
	Wants    []netip.Addr
	WantsMAC net.HardwareAddr
	// Holder is whose end is the claim's end too; zero for none.
	Holder Holder
	// Made: by an agent, for a Pod of a StatefulSet.
	Made bool
	// Going: it is being deleted.
	Going bool

	// Has are the addresses that belong to the claim, MAC likewise. The
	// Address objects are the truth, this is where they are found.
	Has []ClaimedAddress
	MAC net.HardwareAddr
}

// ClaimedAddress is an address of a claim.
type ClaimedAddress struct {
	Address      netip.Prefix
	Domain, Pool string
}

// Holder is the object that a claim goes with.
type Holder struct{ APIVersion, Kind, Name, UID string }

// Ref is the claim's identity.
func (c Claim) Ref() ClaimRef { return ClaimRef{c.Namespace, c.Name, c.UID} }

// Object is the API object of a claim.
func (c Claim) Object() *v1alpha1.IPClaim {
	o := &v1alpha1.IPClaim{ObjectMeta: metav1.ObjectMeta{Namespace: c.Namespace, Name: c.Name, UID: types.UID(c.UID), ResourceVersion: c.Version}}
	if c.Made {
		o.Labels = map[string]string{ManagedLabel: ManagedBy}
	}
	o.OwnerReferences = c.Holder.References()
	o.Spec = v1alpha1.IPClaimSpec{Network: c.Network, Interface: c.Interface, Pod: c.Pod, Retention: c.Retention, MAC: c.WantsMAC.String()}
	for _, a := range c.Wants {
		o.Spec.Addresses = append(o.Spec.Addresses, a.String())
	}
	o.Status = v1alpha1.IPClaimStatus{Addresses: c.HasObject(), MAC: c.MAC.String()}
	return o
}

// HasObject is Has as the API writes it.
func (c Claim) HasObject() []v1alpha1.ClaimedAddress {
	out := make([]v1alpha1.ClaimedAddress, 0, len(c.Has))
	for _, a := range c.Has {
		out = append(out, v1alpha1.ClaimedAddress{Address: a.Address.String(), Domain: a.Domain, Pool: a.Pool})
	}
	return out
}

// References are owner references to the holder: one or none.
func (h Holder) References() []metav1.OwnerReference {
	if h == (Holder{}) {
		return nil
	}
	return []metav1.OwnerReference{{APIVersion: h.APIVersion, Kind: h.Kind, Name: h.Name, UID: types.UID(h.UID)}}
}

// ClaimFrom reads an API object.
func ClaimFrom(o *v1alpha1.IPClaim) (Claim, error) {
	wrong := func(field string, err error) (Claim, error) {
		return Claim{}, fmt.Errorf("IPClaim %s/%s: %s: %w", o.Namespace, o.Name, field, err)
	}
	c := Claim{Meta: metaFrom(&o.ObjectMeta), Namespace: o.Namespace, Network: o.Spec.Network, Interface: o.Spec.Interface, Pod: o.Spec.Pod,
		Retention: o.Spec.Retention, Made: o.Labels[ManagedLabel] == ManagedBy, Going: o.DeletionTimestamp != nil}
	if c.Network != "" && !strings.Contains(c.Network, "/") {
		c.Network = c.Namespace + "/" + c.Network
	}
	for _, r := range o.OwnerReferences {
		c.Holder = Holder{r.APIVersion, r.Kind, r.Name, string(r.UID)}
		break
	}
	var err error
	for i, text := range o.Spec.Addresses {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return wrong(fmt.Sprintf("spec.addresses[%d]", i), err)
		}
		c.Wants = append(c.Wants, a.Unmap())
	}
	if c.WantsMAC, err = macFrom(o.Spec.MAC); err != nil {
		return wrong("spec.mac", err)
	}
	if c.MAC, err = macFrom(o.Status.MAC); err != nil {
		return wrong("status.mac", err)
	}
	for i, a := range o.Status.Addresses {
		p, err := netip.ParsePrefix(a.Address)
		if err != nil {
			return wrong(fmt.Sprintf("status.addresses[%d]", i), err)
		}
		c.Has = append(c.Has, ClaimedAddress{p, a.Domain, a.Pool})
	}
	return c, nil
}

func macFrom(text string) (net.HardwareAddr, error) {
	if text == "" {
		return nil, nil
	}
	return net.ParseMAC(text)
}
