package ipam

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

// RegionLabel is set on blocks and addresses; its value is the first address
// of their region, with dashes.
const RegionLabel = "tsunagu.dev/region"

// DrainingAnnotation on an IPRegion says that its unit is about to change:
// nobody may claim a block of it.
const DrainingAnnotation = "tsunagu.dev/draining"

// Meta is what all objects have. Version changes with every write, UID with
// every creation.
type Meta struct{ Name, UID, Version string }

// Region fixes the unit of the blocks in a /24 or /120 of a domain.
type Region struct {
	Meta
	Domain   string
	Prefix   netip.Prefix
	Unit     int
	Draining bool
}

// Block is a prefix leased to a node.
type Block struct {
	Meta
	Domain  string
	Prefix  netip.Prefix
	Node    string
	NodeUID string
	State   v1alpha1.IPBlockState
	// Holes and Used are bitmaps, the first address in the lowest bit.
	Holes, Used uint64
	UsedCount   int
	Requests    []HoleRequest
}

// HoleRequest asks a block's owner for one address.
type HoleRequest struct {
	Address netip.Addr
	Answer  string
	// Any other address would do as well.
	Any bool
}

// answerCut is the answer that says yes. The hole itself is the proof.
const answerCut = "cut"

// Address is one address bound by an object of its own: to an interface, to a
// claim (whether an interface uses it now or not), or to nobody, because it is
// reserved or a stranger uses it.
type Address struct {
	Meta
	Domain  string
	Address netip.Addr
	Pool    string
	// Node, NodeUID and Owner are the interface that uses it now; empty while
	// none does.
	Node    string
	NodeUID string
	Owner   Owner
	// Incoming is a second interface that has it, while a virtual machine
	// migrates to another node.
	Incoming Use
	Claim    ClaimRef
	// Reserved says in words why it is kept from Pods.
	Reserved   string
	Quarantine *Quarantine
	// Origin is set if the interface was not made by tsunagu: it was imported.
	Origin string
}

// Use is an interface on a node that has an address; the zero value is none.
type Use struct {
	Node, NodeUID string
	Owner         Owner
}

// ClaimRef is the identity of an IPClaim; the zero value is none.
type ClaimRef struct{ Namespace, Name, UID string }

// Quarantine is what is known of a stranger that uses an address.
type Quarantine struct {
	MAC  string
	Node string
	// Lasts is counted from Seen.
	Lasts time.Duration
	Seen  time.Time
}

func newRegion(domain string, prefix netip.Prefix, unit int) Region {
	return Region{Meta: Meta{Name: objectName(domain, prefix.Addr())}, Domain: domain, Prefix: prefix, Unit: unit}
}

// Object is the API object of a region.
func (r Region) Object() *v1alpha1.IPRegion {
	o := &v1alpha1.IPRegion{ObjectMeta: r.object(r.Domain, r.Prefix, "")}
	if r.Draining {
		o.Annotations = map[string]string{DrainingAnnotation: "true"}
	}
	delete(o.Labels, RegionLabel)
	o.Spec = v1alpha1.IPRegionSpec{Domain: r.Domain, CIDR: r.Prefix.String(), Unit: int32(r.Unit)}
	return o
}

// RegionFrom reads an API object.
func RegionFrom(o *v1alpha1.IPRegion) (Region, error) {
	p, err := netip.ParsePrefix(o.Spec.CIDR)
	if err != nil {
		return Region{}, fmt.Errorf("IPRegion %s: spec.cidr: %w", o.Name, err)
	}
	_, draining := o.Annotations[DrainingAnnotation]
	return Region{metaFrom(&o.ObjectMeta), o.Spec.Domain, p, int(o.Spec.Unit), draining}, nil
}

// Object is the API object of a block.
func (b Block) Object() *v1alpha1.IPBlock {
	o := &v1alpha1.IPBlock{ObjectMeta: b.object(b.Domain, b.Prefix, b.NodeUID)}
	o.Spec = v1alpha1.IPBlockSpec{
		Domain: b.Domain, CIDR: b.Prefix.String(), Owner: v1alpha1.BlockOwner{Node: b.Node, NodeUID: b.NodeUID}, State: b.State,
		Holes: bitmapText(b.Holes), Used: bitmapText(b.Used), UsedCount: int32(b.UsedCount),
	}
	for _, r := range b.Requests {
		o.Spec.HoleRequests = append(o.Spec.HoleRequests, v1alpha1.HoleRequest{Address: r.Address.String(), Answer: r.Answer, Any: r.Any})
	}
	return o
}

// BlockFrom reads an API object.
func BlockFrom(o *v1alpha1.IPBlock) (Block, error) {
	wrong := func(field string, err error) (Block, error) {
		return Block{}, fmt.Errorf("IPBlock %s: spec.%s: %w", o.Name, field, err)
	}
	b := Block{Meta: metaFrom(&o.ObjectMeta), Domain: o.Spec.Domain, Node: o.Spec.Owner.Node, NodeUID: o.Spec.Owner.NodeUID,
		State: o.Spec.State, UsedCount: int(o.Spec.UsedCount)}
	var err error
	if b.Prefix, err = netip.ParsePrefix(o.Spec.CIDR); err != nil {
		return wrong("cidr", err)
	}
	if unit := b.Prefix.Addr().BitLen() - b.Prefix.Bits(); unit > 6 {
		return wrong("cidr", fmt.Errorf("%s has more than %d addresses", b.Prefix, mostUnit))
	}
	if b.Holes, err = bitmapFrom(o.Spec.Holes); err != nil {
		return wrong("holes", err)
	}
	if b.Used, err = bitmapFrom(o.Spec.Used); err != nil {
		return wrong("used", err)
	}
	for _, r := range o.Spec.HoleRequests {
		// Whoever asks for something that is no address gets no answer.
		if a, err := netip.ParseAddr(r.Address); err == nil {
			b.Requests = append(b.Requests, HoleRequest{a.Unmap(), r.Answer, r.Any})
		}
	}
	return b, nil
}

// Object is the API object of a bound address.
func (a Address) Object() *v1alpha1.IPAddress {
	o := &v1alpha1.IPAddress{ObjectMeta: a.object(a.Domain, netip.PrefixFrom(a.Address, a.Address.BitLen()), a.NodeUID)}
	o.Spec = v1alpha1.IPAddressSpec{Domain: a.Domain, Address: a.Address.String(), Pool: a.Pool,
		Owner: Use{a.Node, a.NodeUID, a.Owner}.object(), Incoming: a.Incoming.object(), Claim: v1alpha1.ClaimReference(a.Claim), Reserved: a.Reserved, Origin: a.Origin}
	if q := a.Quarantine; q != nil {
		o.Spec.Quarantine = &v1alpha1.AddressQuarantine{MAC: q.MAC, Node: q.Node, Seconds: int64(q.Lasts / time.Second), Seen: metav1.NewTime(q.Seen)}
	}
	return o
}

// AddressFrom reads an API object.
func AddressFrom(o *v1alpha1.IPAddress) (Address, error) {
	ip, err := netip.ParseAddr(o.Spec.Address)
	if err != nil {
		return Address{}, fmt.Errorf("IPAddress %s: spec.address: %w", o.Name, err)
	}
	w := useFrom(o.Spec.Owner)
	a := Address{Meta: metaFrom(&o.ObjectMeta), Domain: o.Spec.Domain, Address: ip.Unmap(), Pool: o.Spec.Pool, Node: w.Node, NodeUID: w.NodeUID,
		Owner: w.Owner, Incoming: useFrom(o.Spec.Incoming), Claim: ClaimRef(o.Spec.Claim), Reserved: o.Spec.Reserved, Origin: o.Spec.Origin}
	if q := o.Spec.Quarantine; q != nil {
		a.Quarantine = &Quarantine{MAC: q.MAC, Node: q.Node, Lasts: time.Duration(q.Seconds) * time.Second, Seen: q.Seen.Time}
	}
	return a, nil
}

func (u Use) object() v1alpha1.AddressOwner {
	return v1alpha1.AddressOwner{Node: u.Node, NodeUID: u.NodeUID, Namespace: u.Owner.Namespace, Pod: u.Owner.Pod, PodUID: u.Owner.UID,
		ContainerID: u.Owner.ContainerID, Interface: u.Owner.IfName}
}

func useFrom(w v1alpha1.AddressOwner) Use {
	return Use{w.Node, w.NodeUID, Owner{Key: Key{w.ContainerID, w.Interface}, Namespace: w.Namespace, Pod: w.Pod, UID: w.PodUID}}
}

func metaFrom(o *metav1.ObjectMeta) Meta { return Meta{o.Name, string(o.UID), o.ResourceVersion} }

func (m Meta) object(domain string, at netip.Prefix, nodeUID string) metav1.ObjectMeta {
	labels := map[string]string{v1alpha1.DomainLabel: domain, RegionLabel: RegionValue(at.Addr())}
	if nodeUID != "" {
		labels[v1alpha1.NodeLabel] = nodeUID
	}
	if IsQuota(domain) {
		labels[QuotaLabel] = "true"
	}
	return metav1.ObjectMeta{Name: m.Name, UID: types.UID(m.UID), ResourceVersion: m.Version, Labels: labels}
}

// RegionValue is the value of RegionLabel for an address.
func RegionValue(a netip.Addr) string { return dashed(regionOf(a).Addr()) }

func bitmapText(m uint64) string {
	if m == 0 {
		return ""
	}
	b := make([]byte, 8)
	binary.LittleEndian.PutUint64(b, m)
	for len(b) > 1 && b[len(b)-1] == 0 {
		b = b[:len(b)-1]
	}
	return hex.EncodeToString(b)
}

func bitmapFrom(text string) (uint64, error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) > 8 {
		return 0, fmt.Errorf("%q is not a bitmap of at most 64 bits in hexadecimal", text)
	}
	var word [8]byte
	copy(word[:], b)
	return binary.LittleEndian.Uint64(word[:]), nil
}
