package install

import "sync"

// Presence is what is known of an object of the API server.
type Presence int

const (
	// Unknown: never seen, or the API server did not answer yet.
	Unknown Presence = iota
	// Present: it exists and nobody deleted it.
	Present
	// Leaving: it is deleted, or marked for deletion.
	Leaving
)

// Life is what the agent knows about being wanted: the state of its own
// DaemonSet and of the namespace that holds it, as a watch that was already
// established told it. The zero value knows nothing.
type Life struct {
	mu                   sync.Mutex
	daemonSet, namespace Presence
}

// SawDaemonSet notes the DaemonSet's state. One that is created again after it
// was deleted is wanted again.
func (l *Life) SawDaemonSet(p Presence) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.daemonSet = p
}

// SawNamespace notes the state of the DaemonSet's namespace.
func (l *Life) SawNamespace(p Presence) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.namespace = p
}

// Uninstalled tells whether an agent that is being stopped now leaves the node
// for good. In doubt it does not: files that stay can be removed later, Pods
// that cannot start are an outage.
func (l *Life) Uninstalled() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.daemonSet == Leaving || l.namespace == Leaving
}
