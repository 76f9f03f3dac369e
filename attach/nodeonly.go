package attach

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Elsewhere finds Pods of other nodes.
type Elsewhere interface {
	// Other finds one on a network, rather one that has an address of ips. There may be none.
	Other(ctx context.Context, network string, ips []string) (Neighbour, error)
}

// Neighbour is a Pod on the same network as another, on another node.
type Neighbour struct {
	// Pod is namespace/name, "" for none.
	Pod string
	// Same is an address that both have, or "".
	Same string
}

const (
	// lookRest is how long an answer about a network is good for: finding out reads all Pods.
	lookRest = time.Minute
	// lookAfter is how long after a Pod was attached it is looked for others: their network-status is written by then, also when all
	// of them start at once.
	lookAfter = 3 * time.Second
)

// ReasonNodeOnly is the reason of the Event that says that nodes count the addresses of a network each for itself.
const ReasonNodeOnly = "AddressesCountedPerNode"

// nodeOnly warns of networks whose addresses each node counts for itself (ipam type host-local) and that are used on several nodes.
type nodeOnly struct {
	server *Server
	mu     sync.Mutex
	asked  map[string]time.Time
}

// wired is told of a sandbox whose interfaces are there. It does not wait. A network is looked at once in a while, for all its Pods.
func (n *nodeOnly) wired(record Record, plan []planned) {
	if n.server.Elsewhere == nil {
		return
	}
	for i, one := range plan {
		if !one.net.IPAM.NodeOnly || one.net.PerNodeByChoice {
			continue
		}
		n.mu.Lock()
		due := time.Since(n.asked[one.net.Ref]) >= lookRest
		if due {
			n.asked[one.net.Ref] = time.Now()
		}
		n.mu.Unlock()
		if due {
			time.AfterFunc(lookAfter, func() { n.look(record, i, one.net.Ref) })
		}
	}
}

func (n *nodeOnly) look(record Record, i int, network string) {
	ctx, cancel := context.WithTimeout(n.server.reports.ctx, 10*time.Second)
	defer cancel()
	var ips []string
	for _, a := range record.Interfaces[i].Addresses {
		ips = append(ips, a.Prefix.Addr().String())
	}
	other, err := n.server.Elsewhere.Other(ctx, network, ips)
	switch {
	case err != nil:
		n.server.Log.Debug("look whether a network of type host-local is used on other nodes", "network", network, "err", err)
	case other.Pod != "":
		n.server.Events.Warn(record.pod(), ReasonNodeOnly, nodeOnlyNote(network, other))
	}
}

func nodeOnlyNote(network string, other Neighbour) string {
	what := "so they give the same addresses to different Pods"
	if other.Same != "" {
		what = fmt.Sprintf("and %s has the address %s too", other.Pod, other.Same)
	}
	return fmt.Sprintf("network-attachment-definition %s has ipam type host-local and is used on several nodes (Pod %s is on another one): each node counts the addresses for itself, %s. "+
		"To fix: annotate it %s=cluster (or label its namespace so), or give each node ranges of its own", network, other.Pod, what, HostLocalMark)
}
