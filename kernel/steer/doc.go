// Package steer leads new TCP connections for some local addresses and one port to
// another socket of this process, whoever listens on the port.
//
// It owns an eBPF program of the kernel's socket lookup (Linux 5.9,
// BPF_PROG_TYPE_SK_LOOKUP) and the maps it reads. No packet is rewritten and no
// connection is tracked: the connection that is accepted has the address it was made
// to. Connections that exist are left alone. It does not know who should be led away
// and why.
//
// The program lives as long as the process: when that ends, however, the port's own
// listener is asked again. Start at New.
package steer
