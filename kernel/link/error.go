package link

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"
)

// Error is a change the kernel refused.
type Error struct {
	Op     string // what was done to which device
	Err    error  // an errno, or an error of the socket
	Detail string // the kernel's own words, often empty
}

func (e *Error) Error() string {
	s := e.Op + ": " + e.Err.Error()
	if e.Detail != "" {
		s += " (" + e.Detail + ")"
	}
	return s
}

// Unwrap gives the errno.
func (e *Error) Unwrap() error { return e.Err }

// Exists tells that an error means that the thing to make is there already.
func Exists(err error) bool { return errors.Is(err, unix.EEXIST) }

// Missing tells that an error means that the thing to change is not there.
func Missing(err error) bool {
	return errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENXIO) ||
		errors.Is(err, fs.ErrNotExist)
}

// Busy tells that an error means that the thing, for example a hardware address, is in use.
func Busy(err error) bool {
	return errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EADDRINUSE)
}

// Invalid tells that the kernel does not take the request as it is.
func Invalid(err error) bool { return errors.Is(err, unix.EINVAL) }

// Denied tells that an error means that the kernel will not do it here, for example an IPv6 address where IPv6 is disabled.
func Denied(err error) bool { return errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) }

// Unsupported tells that the kernel has no such kind of thing.
func Unsupported(err error) bool {
	return errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EAFNOSUPPORT)
}
