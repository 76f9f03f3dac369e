// Package fence keeps addresses silent on the wire unless the right to use them
// is renewed in time, whatever becomes of the process that renews it.
//
// It owns two small eBPF programs on each interface and the maps they read: the
// guarded addresses, and until when they may be used, as a point of the
// kernel's own clock. A process that is killed, stopped or stunned renews
// nothing and the kernel goes silent at that point by itself; a renewal that
// was on its way for too long names a point that has passed. It does not know
// who decides about the right (vip/lease does).
//
// The programs are attached to the device and not to a file descriptor: they
// stay when the process is killed; one that ends in peace takes them off by
// Detach. Start at New, then Fence.Attach and Fence.Allow;
// program.go says what is silent.
package fence
