// Package trunk puts Pods on VLANs of a node's trunk without 802.1Q devices and
// without a bridge: two eBPF programs and the maps they share are the node's
// switch.
//
// It owns the programs, where they are attached, and the maps: which port has
// which MAC on which VLAN of which trunk, what a port may send from, and how
// many frames were dropped and why. A port can also stand in front of a bridge;
// then only what it sends is looked at. It does not know Pods or networks
// (attach/kind does), and makes no links.
//
// The programs are attached to the devices and not to a file descriptor: they
// stay, with their maps, when the process ends, and Open finds them again.
// Frames of other VLANs, untagged ones, and tagged ones for a MAC that no port
// has go on to the node untouched.
//
// Start at Open, then Switch.Put; switch.c is what happens to a frame.
package trunk

//go:generate go tool -modfile=../../tools/go.mod bpf2go -cc clang -strip llvm-strip -target bpfel -cflags "-O2 -g -mcpu=v3 -Wall -Werror -fdebug-compilation-dir=. -I/usr/include/x86_64-linux-gnu -I/usr/include/aarch64-linux-gnu" -no-global-types object switch.c
