package install

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// Failure is a change to the node's files that did not succeed.
type Failure struct {
	// Doing is what was being done, to which file.
	Doing string
	// Cause is the file system's answer.
	Cause error
	// Fix is what a person can do about it; "" if nothing is known.
	Fix string
}

func (f Failure) Error() string {
	if f.Fix == "" {
		return fmt.Sprintf("%s: %v", f.Doing, f.Cause)
	}
	return fmt.Sprintf("%s: %v; %s", f.Doing, f.Cause, f.Fix)
}

// Unwrap returns the cause.
func (f Failure) Unwrap() error { return f.Cause }

// failure words an error of the file system about a file of this folder.
func failure(doing, dir string, cause error) error {
	var of *fs.PathError
	if errors.As(cause, &of) {
		cause = of.Err // doing names the file already
	}
	return Failure{Doing: doing, Cause: cause, Fix: fix(dir, cause)}
}

func fix(dir string, cause error) string {
	switch {
	case errors.Is(cause, fs.ErrNotExist):
		return "mount the node's " + dir + " at " + dir + " of the agent's Pod (hostPath, type DirectoryOrCreate), or tell the agent and the container runtime another folder"
	case errors.Is(cause, syscall.EROFS):
		return "mount " + dir + " of the agent's Pod without readOnly; if the node itself keeps it read-only, tell the agent and the container runtime another folder"
	case errors.Is(cause, syscall.ENOSPC), errors.Is(cause, syscall.EDQUOT):
		return "free space on the node's file system of " + dir
	case errors.Is(cause, fs.ErrPermission):
		return "run the agent as root, and allow it to write to " + dir + " (SELinux, AppArmor)"
	case errors.Is(cause, syscall.ENOTDIR), errors.Is(cause, syscall.EISDIR):
		return "something else has this name: remove it from the node's " + dir
	default:
		return ""
	}
}
