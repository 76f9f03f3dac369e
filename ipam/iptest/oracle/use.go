package oracle

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"
)

// Holder is who uses an address: one interface of one sandbox.
type Holder struct {
	Node        string `json:"node,omitempty"`
	Pod         string `json:"pod,omitempty"` // for people: namespace/name
	PodUID      string `json:"podUID,omitempty"`
	ContainerID string `json:"containerID,omitempty"`
	IfName      string `json:"ifName,omitempty"`
	// Migration is what the two Pods of a declared live migration have in
	// common. Two holders of one migration may share an address, three not.
	Migration string `json:"migration,omitempty"`
}

// same tells whether two holders are one. A sandbox is the identity: a Pod
// that got a new one is another holder, because the old one may still run.
func (h Holder) same(o Holder) bool {
	if h.ContainerID == "" || o.ContainerID == "" {
		return h.PodUID == o.PodUID && h.Pod == o.Pod && h.IfName == o.IfName
	}
	return h.ContainerID == o.ContainerID && h.IfName == o.IfName
}

func (h Holder) String() string {
	who := h.Pod
	if who == "" {
		who = h.PodUID
	}
	return fmt.Sprintf("%s (sandbox %.13s, interface %s, node %s)", who, h.ContainerID, h.IfName, h.Node)
}

// Use is one address in the hands of one holder.
type Use struct {
	Domain  string     `json:"domain"`
	Address netip.Addr `json:"address"`
	Holder
	// Begin is when the ADD was answered, End when the DEL was begun or the
	// sandbox died. A zero End means that it did not end.
	Begin time.Time `json:"begin"`
	End   time.Time `json:"end,omitzero"`
}

func (u Use) where() place { return place{u.Domain, u.Address} }

type place struct {
	domain  string
	address netip.Addr
}

func (p place) compare(q place) int {
	if p.domain != q.domain {
		if p.domain < q.domain {
			return -1
		}
		return 1
	}
	return p.address.Compare(q.address)
}

func (p place) String() string { return p.domain + " " + p.address.String() }

// ended tells whether the use was over when t came. Uses are half-open: one may
// begin at the moment at which another ends.
func (u Use) ended(t time.Time) bool { return !u.End.IsZero() && !u.End.After(t) }

// Write appends a use to a file of many processes, as one line of JSON.
func Write(w io.Writer, u Use) error {
	line, err := json.Marshal(u)
	if err == nil {
		_, err = w.Write(append(line, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write down a use of %s: %w", u.Address, err)
	}
	return nil
}

// Read reads what Write wrote. Lines of several files may be joined in any
// order, as long as their clocks are one machine's.
func Read(r io.Reader) ([]Use, error) {
	var all []Use
	for d := json.NewDecoder(r); ; {
		var u Use
		err := d.Decode(&u)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, fmt.Errorf("read uses of addresses, after %d: %w", len(all), err)
		}
		all = append(all, u)
	}
}
