// Package priority lets a process run when it must, on a machine that is busy.
//
// It owns the scheduler's and the memory manager's calls for that. It does not
// know what is urgent. Start at Raise.
package priority

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// realtime is a low one of the real-time priorities (sched(7)): above everything
// that has none, below whoever needs it more.
const realtime = 10

// Raise puts the process before others, and keeps what it uses in memory, as far
// as it may: with CAP_SYS_NICE it is scheduled in real time, or with the best nice
// value where real time is not given to its cgroup; with CAP_IPC_LOCK it is not
// swapped. Call it first: threads inherit it. The error says what was not given.
func Raise() error {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return fmt.Errorf("list the own threads: %w", err)
	}
	var failed error
	for _, t := range tasks {
		tid, err := strconv.Atoi(t.Name())
		if err != nil {
			continue
		}
		attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: realtime}
		err = unix.SchedSetAttr(tid, &attr, 0)
		if err != nil {
			err = unix.Setpriority(unix.PRIO_PROCESS, tid, -20)
		}
		if err != nil && !errors.Is(err, unix.ESRCH) {
			failed = fmt.Errorf("run before other processes: %w", err)
		}
	}
	// On fault: Go reserves much more address space than it uses.
	if err := unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT); err != nil {
		failed = errors.Join(failed, fmt.Errorf("keep the own memory from being swapped: %w", err))
	}
	return failed
}
