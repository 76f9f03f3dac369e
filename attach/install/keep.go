package install

import (
	"context"
	"slices"
	"time"
)

const (
	// look is how often Keep looks at the files.
	look = time.Second
	// patience is how many times in a row Keep repairs without complaint of
	// a rival; then it repairs every calm.
	patience = 5
	calm     = time.Minute
)

// Keep repairs the files while the agent runs: other CNIs rename or delete
// configurations that are not theirs (Cilium with cni.exclusive). Somebody who
// does so again and again is named once as a rival, and met once a minute
// rather than once a second. Keep returns when ctx ends; that is not an error.
func (i *Installer) Keep(ctx context.Context) {
	tick := time.NewTicker(look)
	defer tick.Stop()
	var fights int
	var next time.Time
	var last string
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if now.Before(next) {
				continue
			}
			steps, err := i.repair()
			if said := text(err); said != last {
				last = said
				if err != nil {
					i.log.Error("CNI files are not as they should be", "err", err)
				}
			}
			if !touchesConf(steps) {
				fights, next = 0, time.Time{}
				continue
			}
			if fights++; fights >= patience {
				next = now.Add(calm)
			}
			if fights == patience {
				i.log.Error("somebody keeps removing tsunagu's CNI configuration", "path", i.conf(),
					"fix", "find the other CNI on this node and tell it to leave other configurations alone (Cilium: cni.exclusive=false)")
			}
		}
	}
}

func (i *Installer) repair() ([]Step, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.settle()
}

func touchesConf(steps []Step) bool {
	return slices.ContainsFunc(steps, func(s Step) bool { return s.Verb == WriteConf })
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
