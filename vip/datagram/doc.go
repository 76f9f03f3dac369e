// Package datagram carries the messages of package lease between nodes: one
// message a UDP datagram, signed with a key that only control-plane nodes have.
//
// It owns the format and the signature. It does not know sockets, nor what a
// message means. Start at Seal and Open; key.go says where the key comes from.
package datagram
