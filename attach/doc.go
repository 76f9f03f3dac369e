// Package attach attaches Pods to networks: it is the agent's side of CNI.
//
// It owns the verbs ADD, DEL, CHECK, GC, STATUS, the annotation by which a Pod selects networks, the reading of network attachment
// definitions, the record of every sandbox it has wired, and the words in which a refusal is told. It takes addresses from ipam and
// hands complete attachments to attach/kind; it does not know client-go, netlink, or how a free address is found.
//
// Start at Server, then add.go; for Pods whose annotation is edited while they run at live.go, then exchange.go. ParseSelections and
// ParseDefinition are the doors of foreign text.
package attach
