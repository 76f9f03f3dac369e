// Package proxy leads connections on this node to an API server that works.
//
// It owns the list of API servers, their checks and the connections to them. It
// does not read what it carries: TLS is between the program and the API server,
// which proves itself, so that a wrong list can refuse service and no more.
//
// Start at Proxy.Serve; server.go says which one a connection goes to.
package proxy
