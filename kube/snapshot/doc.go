// Package snapshot reads a cluster once, for people: every list that the
// command line and the doctor look at, page by page, with what could not be
// read.
//
// It is a room of its own beside kube's informers because the command line
// carries it to machines that have no netlink: it imports no room that works on
// a node. It judges nothing. Start reading at Reader.
package snapshot
