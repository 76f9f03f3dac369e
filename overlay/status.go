package overlay

import "time"

// Status is how a node's part of the overlay is, for people and for the doctor.
type Status struct {
	Encap Encap `json:"encap"`
	// Underlay is the interface that has the node's address; MTU is its MTU, PodMTU what is left for Pods.
	Underlay string `json:"underlay,omitempty"`
	MTU      int    `json:"mtu,omitempty"`
	PodMTU   int    `json:"podMTU"`
	// Nodes counts the others that are reached, Routes the routes to them.
	Nodes  int `json:"nodes"`
	Routes int `json:"routes"`
	// Problems are things that somebody must mend, each with the cause and what it breaks.
	Problems []string `json:"problems,omitempty"`
	// Repairs counts changes of others that were undone: deleted devices, routes and rules.
	Repairs int `json:"repairs"`
	// Err is the last failure, or what is waited for; "" when the last pass went well.
	Err         string    `json:"err,omitempty"`
	LastSuccess time.Time `json:"lastSuccess"`
}
