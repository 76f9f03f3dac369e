package overlay

// Bytes that encapsulation adds: outer IP header, UDP, VXLAN-GPE (8 bytes each).
const (
	overhead4 = 20 + 8 + 8
	overhead6 = 40 + 8 + 8
)

// fallbackMTU fits every path that carries IPv6 (RFC 8200 clause 5).
const fallbackMTU = 1280

// minUnderlayMTU leaves room for an IPv6 packet of 1280 bytes within an IPv6 tunnel.
const minUnderlayMTU = fallbackMTU + overhead6
