package reconcile

import "time"

// Status is what is known about a loop's passes.
type Status struct {
	// Passes counts all of them, Failures those in a row that failed up to the last one.
	Passes, Failures int
	// Err is the outcome of the last pass: nil, a Waiting, or a failure.
	Err                   error
	LastPass, LastSuccess time.Time
}

// Status returns what is known now.
func (l *Loop) Status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status
}

// Waiting is the outcome of a pass that has done what it could and needs something from outside to go on: no failure, nothing to
// retry quickly, but not ready either. Its text says what is missing.
type Waiting string

func (w Waiting) Error() string { return string(w) }
