package link

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// ErrInterrupted tells that the kernel changed what was being listed, again and again, so that no list is whole.
var ErrInterrupted = errors.New("list kept changing while it was read")

// attempts at a dump: an interrupted one means that somebody else made progress.
const attempts = 64

// dump lists things: whole, or an error. The bodies that each gets are valid only during the call.
func (c *Conn) dump(what string, typ uint16, body message, reset func(), each func(typ uint16, body []byte)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range attempts {
		reset()
		interrupted, err := c.dumpOnce(Op{typ: typ, flags: unix.NLM_F_DUMP, body: body}, each)
		if err != nil {
			return fmt.Errorf("list %s: %w", what, err)
		}
		if !interrupted {
			return nil
		}
	}
	return fmt.Errorf("list %s: %w", what, ErrInterrupted)
}

func (c *Conn) dumpOnce(o Op, each func(typ uint16, body []byte)) (interrupted bool, err error) {
	c.seq++
	seq := c.seq
	if err := c.send(o.encode(nil, seq, 0)); err != nil {
		return false, err
	}
	var failed error
	for done := false; !done; {
		err := c.receive(func(h header, body []byte) error {
			if h.seq != seq {
				return nil
			}
			interrupted = interrupted || h.flags&unix.NLM_F_DUMP_INTR != 0
			switch h.typ {
			case unix.NLMSG_DONE, unix.NLMSG_ERROR:
				done = true
				if len(body) >= 4 {
					if errno := unix.Errno(-int32(binary.NativeEndian.Uint32(body))); errno != 0 {
						failed = errno
					}
				}
			default:
				each(h.typ, body)
			}
			return nil
		})
		if err != nil {
			return false, err
		}
	}
	if errors.Is(failed, unix.EINTR) {
		return true, nil
	}
	return interrupted, failed
}
