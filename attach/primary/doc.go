// Package primary finds the network that a node had before tsunagu, and follows it: the first configuration of the runtime's folder that
// is not ours.
//
// It owns which file that is, what it says, and that a file which is being written is not believed. It does not know who carries the
// configuration out (attach, attach/delegate), nor how ours is put in front of it (attach/install).
//
// Start at Follower.
package primary
