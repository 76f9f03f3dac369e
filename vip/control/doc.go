// Package control is what people and the command line say to a node's
// tsunagu-vip, and what it answers: over a socket of the node that only root may
// open, and read-only over HTTP.
//
// It owns the words. It does not know how they are carried out. Start at Status;
// client.go asks.
package control
