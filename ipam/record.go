package ipam

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// slot is one address of a holding, and by what right it is held.
type slot struct {
	Grant
	domain string
	local  bool
	// bound: by an Address object of this UID. Else by the block that covers
	// it.
	bound bool
	uid   string
	// unit of the block, to claim it again if the object is lost.
	unit int
	// frozen: somebody else has the right to it. The interface keeps it, and
	// it is not given out again.
	frozen bool
	// claim is whose the address is, if it is a claim's.
	claim ClaimRef

	// While a take is under way: key is who will have it, and fresh says that
	// the claim does not list it yet.
	key   Key
	fresh bool
	// rest is how long the address is not given out again afterwards.
	rest time.Duration
	// token: it is no address but what an address costs its namespace. Tokens
	// come behind all addresses.
	token bool
}

// held is a Holding with the rights.
type held struct {
	owner Owner
	slots []slot
}

func (h *held) grants() []Grant {
	out := make([]Grant, h.addresses())
	for i := range out {
		out[i] = h.slots[i].Grant
	}
	return out
}

// addresses is the number of slots that are no tokens.
func (h *held) addresses() int {
	n := len(h.slots)
	for n > 0 && h.slots[n-1].token {
		n--
	}
	return n
}

// Keys of the log: what an interface holds, an Address object that is being
// made or unmade, a block that is being given back.
const (
	heldKey    = "h/"
	unbindKey  = "x/"
	leavingKey = "l/"
)

// heldRecord is a holding in the log.
type heldRecord struct {
	Container string       `json:"c"`
	IfName    string       `json:"i"`
	Namespace string       `json:"n,omitempty"`
	Pod       string       `json:"p,omitempty"`
	UID       string       `json:"u,omitempty"`
	Network   string       `json:"w,omitempty"`
	Slots     []slotRecord `json:"s"`
}

type slotRecord struct {
	Address netip.Prefix `json:"a"`
	Gateway *netip.Addr  `json:"g,omitempty"`
	Routes  []Route      `json:"r,omitempty"`
	Pool    string       `json:"p,omitempty"`
	Domain  string       `json:"d"`
	Local   bool         `json:"l,omitempty"`
	Bound   bool         `json:"b,omitempty"`
	UID     string       `json:"u,omitempty"`
	Unit    int          `json:"n,omitempty"`
	Frozen  bool         `json:"f,omitempty"`
	MAC     []byte       `json:"m,omitempty"`
	Claim   *ClaimRef    `json:"k,omitempty"`
	Token   bool         `json:"t,omitempty"`
	Rest    int64        `json:"o,omitempty"` // nanoseconds
}

func (h *held) encode() ([]byte, error) {
	r := heldRecord{h.owner.ContainerID, h.owner.IfName, h.owner.Namespace, h.owner.Pod, h.owner.UID, h.owner.Network, make([]slotRecord, 0, len(h.slots))}
	for _, s := range h.slots {
		rec := slotRecord{s.Address, nil, s.Routes, s.Pool, s.domain, s.local, s.bound, s.uid, s.unit, s.frozen, s.MAC, nil, s.token, int64(s.rest)}
		if s.claim != (ClaimRef{}) {
			rec.Claim = &s.claim
		}
		if s.Gateway.IsValid() {
			rec.Gateway = &s.Gateway
		}
		r.Slots = append(r.Slots, rec)
	}
	return json.Marshal(r)
}

func decodeHeld(value []byte) (*held, error) {
	var r heldRecord
	if err := json.Unmarshal(value, &r); err != nil {
		return nil, fmt.Errorf("read a holding: %w", err)
	}
	h := &held{owner: Owner{Key{r.Container, r.IfName}, r.Namespace, r.Pod, r.UID, r.Network}}
	for _, s := range r.Slots {
		if !s.Address.IsValid() {
			return nil, fmt.Errorf("read the holding of %s: an address is missing", h.owner.Key)
		}
		one := slot{Grant: Grant{Address: s.Address, Routes: s.Routes, Pool: s.Pool, MAC: s.MAC}, domain: s.Domain, local: s.Local, bound: s.Bound, uid: s.UID, unit: s.Unit, frozen: s.Frozen, token: s.Token, rest: time.Duration(s.Rest)}
		if s.Claim != nil {
			one.claim = *s.Claim
		}
		if s.Gateway != nil {
			one.Gateway = *s.Gateway
		}
		h.slots = append(h.slots, one)
	}
	return h, nil
}

func cutKey(key, kind string) (string, bool) { return strings.CutPrefix(key, kind) }

// Ends tells whether a record of the log is about the end of something: it is
// written even when there is no room for beginnings.
func Ends(key string, _ []byte) bool {
	return strings.HasPrefix(key, unbindKey) || strings.HasPrefix(key, leavingKey) || strings.HasPrefix(key, restKey)
}
