// Package beside lets nodes with tsunagu and nodes with whereabouts give out addresses of the same ranges, while a cluster changes from
// one to the other.
//
// It owns the bookings that an agent makes in the objects of whereabouts (IPPool, OverlappingRangeIPReservation) before it lets a Pod have
// an address, by the rules that whereabouts itself goes by: an IPPool is written at the version that was read, a reservation is created or
// is there. So whoever comes second sees the first, whichever of the two it is. It does not know how addresses are chosen, nor who asks.
//
// Start at Allocator, then Book.
package beside
