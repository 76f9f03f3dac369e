package node

import (
	"context"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
)

// Watch keeps a node's report current.
type Watch struct {
	// Networks are those with a reach; Interfaces those of the node.
	Networks   func() []Network
	Interfaces func() ([]Interface, error)
	// Raise takes a card up that the node was given; whoever boots the node knows nothing of it.
	Raise func(Interface) error
	// Ask asks questions for a second or so and gives those that nobody answered.
	Ask func(context.Context, []Ask) (silent map[Ask]bool, err error)
	// Report writes it, wherever it is kept.
	Report func(context.Context, v1alpha1.NodeNetworkStatus) error
	// Wake has something when Networks would say something else.
	Wake <-chan struct{}
	Log  *slog.Logger
}

const (
	// lookEvery is how often interfaces are looked at: a dump of a few microseconds each.
	lookEvery = 2 * time.Second
	// askEvery is how often gateways are asked again that answered; those that did not are asked at each look.
	askEvery = 20 * time.Second
	// askVLANEvery is the same for VLANs: to hear an answer a card may have to be opened for all of them, which the kernel's log tells.
	askVLANEvery = 30 * time.Second
	// patience is how many times in a row a gateway must be silent that answered before.
	patience = 3
	// heartbeat is how often a report is written in which nothing changed.
	heartbeat = 2 * time.Minute
	// reportingTimeout is how long one write may take.
	reportingTimeout = 10 * time.Second
)

// Run looks and reports until ctx ends, which is no error.
func (w *Watch) Run(ctx context.Context) error {
	var (
		last   v1alpha1.NodeNetworkStatus
		wrote  time.Time
		asked  = map[Ask]time.Time{}
		misses = map[Ask]int{}
		told   string
	)
	for {
		now, err := w.look(ctx, asked, misses)
		if err == nil && (!reflect.DeepEqual(now, last) || time.Since(wrote) >= heartbeat) {
			bounded, cancel := context.WithTimeout(ctx, reportingTimeout)
			stamped := now
			stamped.Heartbeat.Time = time.Now()
			if err = w.Report(bounded, stamped); err == nil {
				last, wrote = now, time.Now()
			}
			cancel()
		}
		if err != nil && ctx.Err() == nil && err.Error() != told {
			told = err.Error()
			w.Log.Warn("what the node has is not told", "err", err)
		} else if err == nil {
			told = ""
		}
		select {
		case <-w.Wake:
		case <-time.After(lookEvery):
		case <-ctx.Done():
			return nil
		}
	}
}

// look reads and asks, and keeps in mind who was asked when.
func (w *Watch) look(ctx context.Context, asked map[Ask]time.Time, misses map[Ask]int) (v1alpha1.NodeNetworkStatus, error) {
	networks := w.Networks()
	have, err := w.Interfaces()
	if err != nil {
		return v1alpha1.NodeNetworkStatus{}, err
	}
	if w.raise(networks, have) {
		if have, err = w.Interfaces(); err != nil {
			return v1alpha1.NodeNetworkStatus{}, err
		}
	}
	all := Asks(networks, have)
	var due []Ask
	for _, a := range all {
		every := askEvery
		if a.VLAN != 0 {
			every = askVLANEvery
		}
		if misses[a] > 0 || time.Since(asked[a]) >= every {
			due = append(due, a)
		}
	}
	for a := range asked {
		if !slices.Contains(all, a) { // asked anew when it comes back
			delete(asked, a)
			delete(misses, a)
		}
	}
	if len(due) > 0 {
		unanswered, err := w.Ask(ctx, due)
		if err != nil {
			return v1alpha1.NodeNetworkStatus{}, err
		}
		for _, a := range due {
			switch {
			case !unanswered[a]:
				misses[a] = 0
			case asked[a].IsZero():
				misses[a] = patience // it never answered
			default:
				misses[a]++
			}
			asked[a] = time.Now()
		}
	}
	silent := map[Ask]bool{}
	for a, n := range misses {
		silent[a] = n >= patience
	}
	return report(networks, have, silent), nil
}

// raise takes up the cards that are down, and tells whether any was.
func (w *Watch) raise(networks []Network, have []Interface) (any bool) {
	for _, n := range networks {
		i, found := n.On(have)
		if !found || n.Card == nil || i.Up || w.Raise == nil {
			continue
		}
		if err := w.Raise(i); err != nil {
			w.Log.Error("take up a network card", "interface", i.Name, "network", n.Name, "err", err)
			continue
		}
		any = true
	}
	return any
}

func report(networks []Network, have []Interface, silent map[Ask]bool) v1alpha1.NodeNetworkStatus {
	var s v1alpha1.NodeNetworkStatus
	for _, i := range have {
		if !i.told(networks) {
			continue
		}
		s.Interfaces = append(s.Interfaces, v1alpha1.NodeInterface{Name: i.Name, MAC: i.MAC.String(), PCI: i.PCI, Driver: i.Driver, MTU: int32(i.MTU), Carrier: i.Up && i.Carrier})
	}
	slices.SortFunc(s.Interfaces, func(a, b v1alpha1.NodeInterface) int { return strings.Compare(a.Name, b.Name) })
	s.Networks = Judge(networks, have, silent)
	var ready, missing []string
	for _, n := range s.Networks {
		if n.Phase == v1alpha1.NetworkPhaseReady {
			ready = append(ready, n.Name)
		} else {
			missing = append(missing, n.Name)
		}
	}
	s.Ready, s.Missing = strings.Join(ready, ","), strings.Join(missing, ",")
	return s
}

// lasting are the drivers of interfaces that are a node's own: others come and go with Pods and tunnels.
var lasting = []string{"", "bond", "team", "vlan", "bridge"}

// told tells whether an interface is worth telling of.
func (i Interface) told(networks []Network) bool {
	return i.PCI != "" || slices.Contains(lasting, i.Driver) ||
		slices.ContainsFunc(networks, func(n Network) bool { on, ok := n.On([]Interface{i}); return ok && on.Index == i.Index })
}
