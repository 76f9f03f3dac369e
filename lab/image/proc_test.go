package image

import (
	"strconv"
	"strings"
)

func itoa(n int) string { return strconv.Itoa(n) }

// afterName gives the state letter of /proc/pid/stat.
func afterName(stat string) byte { return stat[strings.LastIndexByte(stat, ')')+2] }

// ignores reads SigIgn of /proc/pid/status.
func ignores(status string, signal uint) bool {
	for _, line := range strings.Split(status, "\n") {
		if hex, ok := strings.CutPrefix(line, "SigIgn:\t"); ok {
			mask, _ := strconv.ParseUint(hex, 16, 64)
			return mask&(1<<(signal-1)) != 0
		}
	}
	return false
}
