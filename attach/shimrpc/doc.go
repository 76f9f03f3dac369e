// Package shimrpc is what the CNI shim and the agent say to each other over a unix socket.
//
// It owns the frames, the little of CNI that the shim understands itself (its environment, four keys of the configuration, errors) and
// nothing else. It knows neither Kubernetes nor the kernel, and uses the standard library only, without its larger packages: the shim
// is started once or twice per Pod and must start in about a millisecond.
//
// Start at Request.
package shimrpc
