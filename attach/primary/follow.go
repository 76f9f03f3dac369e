package primary

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// every is how often a Follower looks. A folder of a few files costs less than a watch that can be lost.
const every = time.Second

// Follower knows the node's own network as it is now. Pods that were attached keep the configuration that they were attached by.
type Follower struct {
	dir string
	log *slog.Logger

	mu      sync.Mutex
	now     Conf
	err     error
	changed func(Conf)
}

// Follow makes a Follower of a folder, which has looked once. Changed may be nil, and is told of every new configuration.
func Follow(dir string, changed func(Conf), log *slog.Logger) *Follower {
	f := &Follower{dir: dir, log: log, changed: changed}
	f.Look()
	return f
}

// Run looks until ctx ends, which is not an error.
func (f *Follower) Run(ctx context.Context) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			f.Look()
		case <-ctx.Done():
			return nil
		}
	}
}

// Look looks once. A file that cannot be read any more, because it is being written, is looked at again before it is missed.
func (f *Follower) Look() {
	c, err := Primary(f.dir)
	f.mu.Lock()
	was, wasErr := f.now, f.err
	f.now, f.err = c, err
	f.mu.Unlock()
	switch {
	case err != nil && (wasErr == nil || wasErr.Error() != err.Error()):
		f.log.Warn("there is no network that the node has of its own: Pods wait for it", "err", err)
	case err == nil && was.Text != c.Text:
		f.log.Info("the node's own network", "file", c.File, "name", c.Name)
		if f.changed != nil {
			f.changed(c)
		}
	}
}

// Conf is the configuration, or why there is none.
func (f *Follower) Conf() (Conf, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now, f.err
}
