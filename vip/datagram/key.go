package datagram

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
)

// Key signs and checks datagrams. Its Cluster is the same on all nodes of one
// cluster and differs between clusters.
type Key struct {
	secret []byte
	// Cluster names the key without telling it.
	Cluster [8]byte
}

// NewKey derives a key (RFC 5869) from a secret that all control-plane nodes
// of the cluster have and nobody else: kubeadm's pki/sa.key, K3s' or RKE2's
// server/tls/service.key.
func NewKey(secret []byte) (Key, error) {
	if len(secret) < 16 {
		return Key{}, fmt.Errorf("derive the key of the nodes: a secret of %d bytes is too short, at least 16 are needed", len(secret))
	}
	derived, err := hkdf.Key(sha256.New, secret, nil, "tsunagu vip v1", 40)
	if err != nil {
		return Key{}, fmt.Errorf("derive the key of the nodes: %w", err)
	}
	k := Key{secret: derived[:32]}
	copy(k.Cluster[:], derived[32:])
	return k, nil
}

func (k Key) String() string { return hex.EncodeToString(k.Cluster[:]) }

// What Open says of a datagram that it does not accept.
var (
	// ErrForeign: it is none of ours, or of another version.
	ErrForeign = errors.New("no datagram of tsunagu")
	// ErrCluster: it is of another cluster, whose address may be the same.
	ErrCluster = errors.New("datagram of another cluster")
	// ErrForged: it says that it is of this cluster and is not signed so.
	ErrForged = errors.New("datagram with a wrong signature")
	// ErrMalformed: it is signed and cannot be read.
	ErrMalformed = errors.New("datagram that cannot be read")
)
