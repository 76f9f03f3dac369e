// Package clock reads the machine's clocks.
//
// It owns the one that the standard library does not read. Start at Boot.
package clock

import (
	"time"

	"golang.org/x/sys/unix"
)

// Boot is the time since the machine was started, its sleep included (CLOCK_BOOTTIME, clock_gettime(2)). Nobody sets it, and all
// processes see the same: a moment that one has written down is the same moment for the next.
func Boot() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		panic("read CLOCK_BOOTTIME: " + err.Error()) // every kernel since 2.6.39 has it
	}
	return time.Duration(t.Nano())
}
