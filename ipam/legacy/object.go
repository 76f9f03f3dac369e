package legacy

// The objects of group whereabouts.cni.cncf.io, version v1alpha1, as far as
// they matter here.

// Meta is what is read of an object's metadata.
type Meta struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

func (m Meta) String() string {
	if m.Namespace == "" {
		return m.Name
	}
	return m.Namespace + "/" + m.Name
}

// IPPool is the allocations of one range, or of one node's slice of it.
type IPPool struct {
	Meta `json:"metadata"`
	Spec struct {
		Range string `json:"range"`
		// Allocations by offset from the range's first address, in decimal.
		Allocations map[string]Allocation `json:"allocations"`
	} `json:"spec"`
}

// Booked begins the container IDs of what tsunagu itself writes into the objects of whereabouts, while nodes run both.
const Booked = "tsunagu:"

// Allocation is one address given out. Versions before 0.6 had no ifname,
// earlier ones no podref.
type Allocation struct {
	ID     string `json:"id"`
	PodRef string `json:"podref"`
	IfName string `json:"ifname"`
}

// Reservation is an OverlappingRangeIPReservation: one address, over all ranges
// of a network_name.
type Reservation struct {
	Meta `json:"metadata"`
	Spec struct {
		ContainerID string `json:"containerid"`
		PodRef      string `json:"podref"`
		IfName      string `json:"ifname"`
	} `json:"spec"`
}

// SlicePool is a NodeSlicePool: which node has which part of a range.
type SlicePool struct {
	Meta `json:"metadata"`
	Spec struct {
		Range     string `json:"range"`
		SliceSize string `json:"sliceSize"`
	} `json:"spec"`
	Status struct {
		Allocations []Slice `json:"allocations"`
	} `json:"status"`
}

// Slice is one part; NodeName is empty while it is nobody's.
type Slice struct {
	NodeName   string `json:"nodeName"`
	SliceRange string `json:"sliceRange"`
}
