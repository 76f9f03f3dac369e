package kind

// Shared tells whether interfaces of a Spec are on a segment that other nodes may be on too, as far as its configuration tells: the same
// answer on every node. A bridge without an uplink is the node's own, whoever put something into it.
func Shared(s Spec) bool {
	switch s := s.(type) {
	case Bridge:
		return s.Uplink != ""
	case IPVLAN:
		return s.Segment() != "" && s.Mode == "l2" // in the other modes each node routes to addresses of its own
	}
	return s.Segment() != ""
}
