package datagram

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/tsunagu-net/tsunagu/vip/lease"
)

// mostMembers bounds a list: more control-plane nodes nobody has.
const mostMembers = 63

func appendMessage(b []byte, m lease.Message) []byte {
	b = append(b, byte(m.Kind), flags(m))
	b = appendText(b, m.From.ID)
	b = appendText(b, m.To)
	b = appendText(b, m.Other)
	b = appendText(b, m.Heir)
	for _, n := range []uint64{m.From.Start, m.Epoch, m.Round, m.For, uint64(m.Lease), uint64(m.Left), m.Floor, uint64(m.Health.Weight),
		m.Members.Version.Epoch, m.Members.Version.Count} {
		b = binary.AppendUvarint(b, n)
	}
	b = appendList(b, m.Members.In)
	return appendList(b, m.Members.Out)
}

const (
	flagOwner = 1 << iota
	flagReady
)

func flags(m lease.Message) (f byte) {
	if m.Owner {
		f |= flagOwner
	}
	if m.Health.Ready {
		f |= flagReady
	}
	return f
}

func appendText(b []byte, id lease.ID) []byte {
	b = binary.AppendUvarint(b, uint64(len(id)))
	return append(b, id...)
}

func appendList(b []byte, ids []lease.ID) []byte {
	b = binary.AppendUvarint(b, uint64(len(ids)))
	for _, id := range ids {
		b = appendText(b, id)
	}
	return b
}

// reader takes a body apart; after the first mistake everything is zero.
type reader struct {
	rest []byte
	bad  bool
}

func readMessage(body []byte) (lease.Message, error) {
	r := &reader{rest: body}
	m := lease.Message{Kind: lease.Kind(r.byte())}
	f := r.byte()
	m.Owner, m.Health.Ready = f&flagOwner != 0, f&flagReady != 0
	m.From.ID, m.To, m.Other, m.Heir = r.id(), r.id(), r.id(), r.id()
	m.From.Start, m.Epoch, m.Round, m.For = r.number(), r.number(), r.number(), r.number()
	m.Lease, m.Left = r.duration(), r.duration()
	m.Floor = r.number()
	m.Health.Weight = int(min(r.number(), math.MaxInt32))
	m.Members.Version = lease.Version{Epoch: r.number(), Count: r.number()}
	m.Members.In, m.Members.Out = r.list(), r.list()
	switch {
	case r.bad:
		return lease.Message{}, fmt.Errorf("%w: it ends too early", ErrMalformed)
	case len(r.rest) > 0:
		return lease.Message{}, fmt.Errorf("%w: %d bytes too many", ErrMalformed, len(r.rest))
	case m.Kind < lease.Ask || m.Kind > lease.Hello || f > flagOwner|flagReady || m.From.ID == "":
		return lease.Message{}, fmt.Errorf("%w: kind %d, flags %#x, from %q", ErrMalformed, m.Kind, f, m.From.ID)
	}
	return m, nil
}

func (r *reader) take(n uint64) []byte {
	if r.bad || n > uint64(len(r.rest)) {
		r.bad = true
		return nil
	}
	out := r.rest[:n]
	r.rest = r.rest[n:]
	return out
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) number() uint64 {
	n, used := binary.Uvarint(r.rest)
	if r.bad || used <= 0 {
		r.bad = true
		return 0
	}
	r.rest = r.rest[used:]
	return n
}

func (r *reader) duration() time.Duration {
	n := r.number()
	if n > uint64(time.Hour) {
		r.bad = true
		return 0
	}
	return time.Duration(n)
}

func (r *reader) id() lease.ID { return lease.ID(r.take(r.number())) }

func (r *reader) list() []lease.ID {
	n := r.number()
	if n > mostMembers {
		r.bad = true
		return nil
	}
	var ids []lease.ID
	for range n {
		ids = append(ids, r.id())
	}
	return ids
}
