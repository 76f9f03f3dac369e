package route

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/vishvananda/netlink/nl"
	vnetns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// Conn is an rtnetlink socket in one namespace. It is safe for concurrent use.
type Conn struct {
	ns      *netns.Namespace
	sockets map[int]*nl.SocketHandle
	port    uint32
	changes atomic.Int64
}

// Dial opens a socket in a namespace; nil is the process's own.
func Dial(ns *netns.Namespace) (*Conn, error) {
	c := &Conn{ns: ns}
	err := c.inside(func() error {
		s, err := nl.GetNetlinkSocketAt(vnetns.None(), vnetns.None(), unix.NETLINK_ROUTE)
		if err != nil {
			return fmt.Errorf("open rtnetlink socket: %w", err)
		}
		c.sockets = map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: {Socket: s}}
		// With the strict check a dump honours its filters (kernel 4.20); without, the filter here does the same.
		_ = unix.SetsockoptInt(s.GetFd(), unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1)
		_ = s.SetExtAck(true)
		c.port, err = s.GetPid()
		return err
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Close closes the socket.
func (c *Conn) Close() { c.sockets[unix.NETLINK_ROUTE].Close() }

// Port is the socket's netlink port: events that it caused carry it.
func (c *Conn) Port() uint32 { return c.port }

// Changes counts the messages sent that change something.
func (c *Conn) Changes() int64 { return c.changes.Load() }

// inside runs fn in the namespace.
func (c *Conn) inside(fn func() error) error { return inside(c.ns, fn) }

func inside(ns *netns.Namespace, fn func() error) error {
	if ns == nil {
		return fn()
	}
	return ns.Do(fn)
}

// change sends one message and waits for the answer.
func (c *Conn) change(typ uint16, flags int, parts ...nl.NetlinkRequestData) error {
	r := nl.NewNetlinkRequest(int(typ), flags|unix.NLM_F_ACK)
	r.Sockets = c.sockets
	for _, p := range parts {
		r.AddData(p)
	}
	c.changes.Add(1)
	_, err := r.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

// attempts at a list: an interrupted one means that somebody else made progress.
const attempts = 64

// list sends a request for a list. It is whole, or the error says why not.
func (c *Conn) list(typ, answer uint16, flags int, parts ...nl.NetlinkRequestData) (all [][]byte, err error) {
	for range attempts {
		r := nl.NewNetlinkRequest(int(typ), flags)
		r.Sockets = c.sockets
		for _, p := range parts {
			r.AddData(p)
		}
		all, err = r.Execute(unix.NETLINK_ROUTE, answer)
		if !errors.Is(err, nl.ErrDumpInterrupted) && !errors.Is(err, unix.EINTR) {
			return all, err
		}
	}
	return nil, err
}

// Missing tells that an error means that the thing to change is not there.
func Missing(err error) bool {
	return errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENXIO)
}

// NoFamily tells that an error means that the node does without this address family.
func NoFamily(err error) bool {
	return errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.EOPNOTSUPP)
}
