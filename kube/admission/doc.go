// Package admission answers the API server when people write Pods, workloads,
// pools, networks, definitions and claims: at once, and in the words in which
// the node's agent would refuse them later.
//
// It owns the judgements, the certificate by which the API server knows it and
// the webhook configurations that send requests here. It is never
// needed: whatever it cannot find out, and whatever goes wrong in it, lets the
// request pass, and the configuration says the same of a controller that does
// not answer. It decides nothing about who gets an address. Judging is pure but
// for reads; start at Desk.Handle, then podOf, reviewPool and planCertificate.
// Placement.Handle is beside it: it changes Pods, so that they are scheduled
// where their networks are.
package admission
