package lease

import (
	"fmt"
	"time"
)

// Timing is how fast the nodes notice that an owner is gone, and how much delay
// of messages and processes they bear.
type Timing struct {
	// Beat is the time between two requests of the owner.
	Beat time.Duration
	// Lease is how long a promise lasts.
	Lease time.Duration
}

// The timings to choose from. Node failure is noticed after about Lease.
var (
	Default = Timing{Beat: 100 * time.Millisecond, Lease: 400 * time.Millisecond}
	Fast    = Timing{Beat: 50 * time.Millisecond, Lease: 200 * time.Millisecond}
	WAN     = Timing{Beat: 500 * time.Millisecond, Lease: 2 * time.Second}
)

// TimingNamed finds one of default, fast and wan.
func TimingNamed(name string) (Timing, error) {
	switch name {
	case "", "default":
		return Default, nil
	case "fast":
		return Fast, nil
	case "wan":
		return WAN, nil
	}
	return Timing{}, fmt.Errorf("timing %q is not one of default, fast, wan", name)
}

func (t Timing) check() error {
	if t.Beat < time.Millisecond || t.Lease < 3*t.Beat || t.Lease > time.Minute {
		return fmt.Errorf("timing: a lease of %s with a beat of %s: the lease must last at least three beats, the beat at least 1ms", t.Lease, t.Beat)
	}
	return nil
}

// longest is the longest lease that an owner may ask for when its own ticks
// are late.
func (t Timing) longest() time.Duration { return 2 * t.Lease }

// own is how long an owner counts a promise of d: less by a guard of a
// twentieth, so that clocks may differ by almost 5 % in speed.
func own(d time.Duration) time.Duration { return d - d/20 }
