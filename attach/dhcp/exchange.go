package dhcp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/tsunagu-net/tsunagu/kernel/wire"
)

// Line leads from an interface to the servers of its segment.
type Line interface {
	Send(message []byte, to Place) error
	// Receive waits for the next datagram. The error is that of the context when it ends.
	Receive(ctx context.Context) (wire.Datagram, error)
	Close() error
}

// Place is where a message goes: from an address, to one, in a frame to MAC, which nil makes everybody's.
type Place struct {
	From, To netip.Addr
	MAC      net.HardwareAddr
}

// errSilent is that nobody answered.
var errSilent = errors.New("nobody answered")

// exchange says something at once and again after each pause, until heard recognises the answer. It tells how often it was said.
func exchange[A any](ctx context.Context, line Line, say func() ([]byte, Place), pauses []time.Duration, heard func(wire.Datagram) (A, bool)) (answer A, sent int, err error) {
	for _, pause := range pauses {
		message, to := say()
		if err := line.Send(message, to); err != nil {
			return answer, sent, err
		}
		sent++
		waiting, cancel := context.WithTimeout(ctx, pause)
		for waiting.Err() == nil {
			d, err := line.Receive(waiting)
			if err != nil {
				if waiting.Err() == nil {
					cancel()
					return answer, sent, err
				}
				break
			}
			if answer, ok := heard(d); ok {
				cancel()
				return answer, sent, nil
			}
		}
		cancel()
		if ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return answer, sent, context.Cause(ctx)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return answer, sent, errSilent
}

// Pauses of a client that has nothing yet, and of one that waits for the confirmation. RFC 2131 clause 4.1 begins with 4 s; a Pod that
// starts waits for this, and servers that look whether an address is free take up to 3 s to offer it.
var (
	searching  = []time.Duration{time.Second, 3 * time.Second, 4 * time.Second}
	confirming = []time.Duration{500 * time.Millisecond, 1500 * time.Millisecond, 2 * time.Second}
)
