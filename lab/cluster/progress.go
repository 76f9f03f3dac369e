package cluster

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// Progress tells a person what is happening: one line per step when it is done,
// and a sign of life from each that takes longer than two seconds.
type Progress struct {
	mu    sync.Mutex
	w     io.Writer
	began time.Time
}

// NewProgress writes to w; the clock starts now.
func NewProgress(w io.Writer) *Progress { return &Progress{w: w, began: time.Now()} }

// Say prints a line with the time since the beginning. A nil Progress is silent.
func (p *Progress) Say(format string, args ...any) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.w, "%6.1fs  %s\n", time.Since(p.began).Seconds(), fmt.Sprintf(format, args...))
}

// step runs f and reports it.
func (p *Progress) step(what string, f func() error) error {
	if p == nil {
		return f()
	}
	began := time.Now()
	done := make(chan struct{})
	var told sync.WaitGroup
	told.Go(func() {
		wait := 2 * time.Second
		for {
			select {
			case <-done:
				return
			case <-time.After(wait):
				p.Say("%s …", what)
				wait = 15 * time.Second
			}
		}
	})
	err := f()
	close(done)
	told.Wait()
	if err == nil {
		p.Say("%s (%.1f s)", what, time.Since(began).Seconds())
	}
	return err
}
