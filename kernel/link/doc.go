// Package link makes, moves, reads and removes network interfaces, their addresses, routes and neighbours, by rtnetlink.
//
// It owns the messages and the socket. An Op is one message that can be printed; Conn.Apply sends many of them in one system call.
// Reads are whole or an error, never half a list. It does not know Pods or kinds of attachments; attach/kind decides what is wanted.
// The messages are written by hand on the constants of vishvananda/netlink, because that library cannot make a link in another
// namespace complete in one message, nor send several messages at once, and both are what makes attaching fast.
//
// Start at Dial, then Conn.Apply and the functions that return an Op.
package link
