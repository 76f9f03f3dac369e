package main

import (
	"fmt"
	"sync"
	"time"
)

// patience is how long something may take without a word.
const patience = 2 * time.Second

// progress says on stderr what is being done, once it takes long.
type progress struct {
	term terminal
	mu   sync.Mutex
	what string
	said bool
	stop chan struct{}
	done sync.WaitGroup
}

// watch starts the clock. The returned progress must be ended.
func (t terminal) watch(what string) *progress {
	p := &progress{term: t, what: what, stop: make(chan struct{})}
	p.done.Go(p.run)
	return p
}

func (p *progress) run() {
	wait := time.NewTimer(patience)
	defer wait.Stop()
	last := ""
	for {
		select {
		case <-p.stop:
			return
		case <-wait.C:
		}
		p.mu.Lock()
		what := p.what
		p.said = true
		p.mu.Unlock()
		if what != last {
			p.say(what)
			last = what
		}
		wait.Reset(patience / 4)
	}
}

// say rewrites one line on a terminal and writes lines elsewhere.
func (p *progress) say(what string) {
	if _, ok := isTerminal(p.term.err); ok {
		fmt.Fprintf(p.term.err, "\r\x1b[K%s …", what)
		return
	}
	fmt.Fprintf(p.term.err, "%s …\n", what)
}

// now is what is being done from here on.
func (p *progress) now(what string) {
	p.mu.Lock()
	p.what = what
	p.mu.Unlock()
}

// end wipes the line.
func (p *progress) end() {
	close(p.stop)
	p.done.Wait()
	if _, ok := isTerminal(p.term.err); ok && p.said {
		fmt.Fprint(p.term.err, "\r\x1b[K")
	}
}
