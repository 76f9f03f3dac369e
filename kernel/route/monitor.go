package route

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// Event is a change that the kernel tells about.
type Event struct {
	About About
	// Gone is set when the thing was removed.
	Gone bool
	// Port is the netlink port of who asked for it, 0 for the kernel itself. See Conn.Port.
	Port uint32
	// Link is the index of the interface; for a route, the one it leaves by. Name is set for links only.
	Link int
	Name string
	// Dst is the destination of a route, or an address with its prefix length.
	Dst netip.Prefix
	// Protocol is who made a route; Main tells that it is in the main table.
	Protocol uint8
	Main     bool
}

// About says what an Event is about.
type About uint8

const (
	// Lost says that events were lost, because they came too fast: anything may have changed.
	Lost About = iota
	OfLink
	OfAddress
	OfRoute
)

// receiveBuffer holds the events of some thousand routes changed in one go.
const receiveBuffer = 4 << 20

// Monitor receives events of a namespace.
type Monitor struct{ file *os.File }

// NewMonitor subscribes; nothing that happens afterwards is missed without a Lost. nil is the process's own namespace.
func NewMonitor(ns *netns.Namespace) (m *Monitor, err error) {
	err = inside(ns, func() error {
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
		if err != nil {
			return fmt.Errorf("open rtnetlink socket: %w", err)
		}
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
		}
		groups := uint32(unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR | unix.RTMGRP_IPV4_ROUTE | unix.RTMGRP_IPV6_ROUTE)
		if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
			unix.Close(fd)
			return fmt.Errorf("subscribe to changes of links, addresses and routes: %w", err)
		}
		m = &Monitor{file: os.NewFile(uintptr(fd), "rtnetlink")}
		return nil
	})
	return m, err
}

// Run calls each for every event until the context ends, which is not an error, and closes the monitor.
func (m *Monitor) Run(ctx context.Context, each func(Event)) error {
	defer m.file.Close()
	stop := context.AfterFunc(ctx, func() { _ = m.file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	b := make([]byte, 256<<10)
	for {
		n, err := m.file.Read(b)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS):
			each(Event{About: Lost})
			continue
		case err != nil:
			return fmt.Errorf("receive changes of links, addresses and routes: %w", err)
		}
		if !events(b[:n], each) {
			each(Event{About: Lost})
		}
	}
}

// events reads the messages of one receive. It is false when something could not be read.
func events(b []byte, each func(Event)) bool {
	for len(b) >= unix.SizeofNlMsghdr {
		length := int(nl.NativeEndian().Uint32(b))
		if length < unix.SizeofNlMsghdr || length > len(b) {
			return false
		}
		typ, port := nl.NativeEndian().Uint16(b[4:]), nl.NativeEndian().Uint32(b[12:])
		if e, ok := event(typ, b[unix.SizeofNlMsghdr:length]); ok {
			e.Port = port
			each(e)
		}
		b = b[min((length+3)&^3, len(b)):]
	}
	return true
}

func event(typ uint16, b []byte) (e Event, ok bool) {
	switch typ {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		e = Event{About: OfLink, Gone: typ == unix.RTM_DELLINK}
		return e, e.readLink(b)
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		e = Event{About: OfAddress, Gone: typ == unix.RTM_DELADDR}
		return e, e.readAddress(b)
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		r, h, ok := read(b)
		return Event{
			About: OfRoute, Gone: typ == unix.RTM_DELROUTE, Link: r.Device, Dst: r.Dst,
			Protocol: h.Protocol, Main: h.Table == unix.RT_TABLE_MAIN,
		}, ok
	}
	return e, false
}

func (e *Event) readLink(b []byte) bool {
	if len(b) < unix.SizeofIfInfomsg || b[0] != unix.AF_UNSPEC {
		return false
	}
	e.Link = int(nl.NativeEndian().Uint32(b[4:]))
	attrs, err := nl.ParseRouteAttr(b[unix.SizeofIfInfomsg:])
	for _, a := range attrs {
		if a.Attr.Type == unix.IFLA_IFNAME {
			e.Name = nl.BytesToString(a.Value)
		}
	}
	return err == nil
}

func (e *Event) readAddress(b []byte) bool {
	if len(b) < unix.SizeofIfAddrmsg {
		return false
	}
	e.Link = int(nl.NativeEndian().Uint32(b[4:]))
	attrs, err := nl.ParseRouteAttr(b[unix.SizeofIfAddrmsg:])
	for _, a := range attrs {
		if a.Attr.Type == unix.IFA_LOCAL || a.Attr.Type == unix.IFA_ADDRESS && !e.Dst.IsValid() {
			if ip, ok := netip.AddrFromSlice(a.Value); ok {
				e.Dst = netip.PrefixFrom(ip, int(b[1]))
			}
		}
	}
	return err == nil
}
