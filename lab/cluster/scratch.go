package cluster

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/tsunagu-net/tsunagu/lab/plan"
)

// Scratch gives the lab of a test run its name: prefix, at most five letters,
// and the process that runs the test, so that two runs on one machine do not
// meet. Labs of that prefix whose process has ended, because it was killed
// before it could take them down, are removed first.
func Scratch(prefix string) (string, error) {
	var errs []error
	for _, name := range Names("") {
		digits, ours := strings.CutPrefix(name, prefix)
		if pid, err := strconv.ParseInt(digits, 36, 32); ours && err == nil && !alive(pid) {
			errs = append(errs, Down("", name))
		}
	}
	name := prefix + strconv.FormatInt(int64(os.Getpid()), 36)
	return name, errors.Join(append(errs, plan.CheckName("lab", name))...)
}

func alive(pid int64) bool {
	_, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
	return err == nil
}
