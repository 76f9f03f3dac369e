package link

import (
	"encoding/binary"
	"slices"

	"golang.org/x/sys/unix"
)

// sendSize bounds one system call's worth of messages, well below the socket's default buffer.
const sendSize = 64 << 10

// Apply sends operations in order. The kernel carries out all of them, whether one fails or not; the error is the first failure, an
// *Error. Each tells the failures one by one.
func (c *Conn) Apply(ops ...Op) error {
	for _, err := range c.Each(ops...) {
		if err != nil {
			return err
		}
	}
	return nil
}

// Each is Apply with one error per operation, nil for success.
func (c *Conn) Each(ops ...Op) []error {
	failures := make([]error, len(ops))
	c.mu.Lock()
	defer c.mu.Unlock()
	var batch []byte
	for done := 0; done < len(ops); {
		batch = batch[:0]
		first := c.seq + 1
		from := done
		for done < len(ops) && len(batch) < sendSize {
			c.seq++
			// Failures are always reported, so only the last message needs to ask for an answer.
			last := done == len(ops)-1 || len(batch)+unix.SizeofNlMsghdr+len(ops[done].body) >= sendSize
			var ack uint16
			if last {
				ack = unix.NLM_F_ACK
			}
			batch = ops[done].encode(batch, c.seq, ack)
			done++
		}
		if err := c.exchange(batch, first, ops[from:done], failures[from:done]); err != nil {
			for i := from; i < len(ops); i++ {
				if failures[i] == nil {
					failures[i] = &Error{Op: ops[i].String(), Err: err}
				}
			}
			break
		}
	}
	return failures
}

// exchange sends a batch and collects its errors until the answer to the last message. Here an error is one of the socket.
func (c *Conn) exchange(batch []byte, first uint32, ops []Op, failures []error) error {
	if err := c.send(batch); err != nil {
		return err
	}
	for finished := false; !finished; {
		err := c.receive(func(h header, body []byte) error {
			i := int(h.seq - first)
			if h.typ != unix.NLMSG_ERROR || i < 0 || i >= len(ops) || len(body) < 4 {
				return nil // an answer nobody waits for any more
			}
			failures[i] = ops[i].failure(h, body)
			finished = finished || i == len(ops)-1
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// failure is the error in an NLMSG_ERROR message; nil for success.
func (o Op) failure(h header, body []byte) error {
	errno := unix.Errno(-int32(binary.NativeEndian.Uint32(body)))
	if errno == 0 || slices.Contains(o.except, errno) {
		return nil
	}
	return &Error{Op: o.String(), Err: errno, Detail: extendedAck(h, body)}
}

// extendedAck is the kernel's own explanation, when there is one (NLMSGERR_ATTR_MSG, capped acknowledgement).
func extendedAck(h header, body []byte) (said string) {
	const behindHeader = 4 + unix.SizeofNlMsghdr
	if h.flags&unix.NLM_F_ACK_TLVS == 0 || len(body) < behindHeader {
		return ""
	}
	rest := body[behindHeader:]
	if h.flags&unix.NLM_F_CAPPED == 0 { // the whole request precedes the attributes
		n := int(binary.NativeEndian.Uint32(body[4:])) - unix.SizeofNlMsghdr
		if n < 0 || align(n) > len(rest) {
			return ""
		}
		rest = rest[align(n):]
	}
	attrs(rest, func(typ uint16, value []byte) {
		if typ == 1 && len(value) > 1 { // NLMSGERR_ATTR_MSG
			said = string(value[:len(value)-1])
		}
	})
	return said
}
