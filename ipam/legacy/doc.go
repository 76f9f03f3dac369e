// Package legacy reads which addresses other IPAM plugins have given out, so
// that they can be taken over: the objects of whereabouts and the files of
// host-local.
//
// It turns what is there into Records, and tells of everything that cannot be
// one or contradicts another as a Problem: nothing is passed over in silence.
// Make compares records with the Pods that live and says what is to be written.
// It reads and decides; it knows neither the API server nor how an address is
// bound (ipam.Keep).
//
// Start at Whereabouts.Read and HostLocal.Read, then Make.
package legacy
