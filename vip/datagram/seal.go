package datagram

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"

	"github.com/tsunagu-net/tsunagu/vip/lease"
)

// A datagram is: magic (4 bytes), cluster (8), signature (16), body. The
// signature is HMAC-SHA-256 (RFC 2104), cut to 128 bits, over the rest.
var magic = []byte("tsv\x01")

const (
	signed = 16
	header = 4 + 8 + signed
	// Most is the size of the largest datagram in bytes: it fits every path of
	// IPv6 unfragmented (RFC 8200 section 5).
	Most = 1200
)

// Seal writes a message down and signs it.
func (k Key) Seal(m lease.Message) ([]byte, error) {
	b := make([]byte, header, 256)
	copy(b, magic)
	copy(b[4:], k.Cluster[:])
	b = appendMessage(b, m)
	if len(b) > Most {
		return nil, fmt.Errorf("write a message with %d members: %d bytes are more than a datagram of %d", len(m.Members.All()), len(b), Most)
	}
	copy(b[12:], k.sign(b))
	return b, nil
}

// Open checks and reads a datagram.
func (k Key) Open(b []byte) (lease.Message, error) {
	switch {
	case len(b) < header || len(b) > Most || !bytes.Equal(b[:4], magic):
		return lease.Message{}, ErrForeign
	case !bytes.Equal(b[4:12], k.Cluster[:]):
		return lease.Message{}, ErrCluster
	case !hmac.Equal(b[12:header], k.sign(b)):
		return lease.Message{}, ErrForged
	}
	return readMessage(b[header:])
}

func (k Key) sign(b []byte) []byte {
	h := hmac.New(sha256.New, k.secret)
	h.Write(b[:12])
	h.Write(b[header:])
	return h.Sum(nil)[:signed]
}
