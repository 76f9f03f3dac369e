package nft

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Watch calls changed whenever somebody else has changed the table, or may have, until the context ends, which is not an error.
// subscribed is called once, when from then on nothing is missed.
func (t *Table) Watch(ctx context.Context, subscribed, changed func()) error {
	file, err := t.subscribe()
	if err != nil {
		return err
	}
	defer file.Close()
	stop := context.AfterFunc(ctx, func() { _ = file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	subscribed()
	b := make([]byte, 256<<10)
	for {
		n, err := file.Read(b)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS): // events were lost
			changed()
		case err != nil:
			return fmt.Errorf("receive changes of nftables: %w", err)
		case t.foreign(b[:n]):
			changed()
		}
	}
}

func (t *Table) subscribe() (file *os.File, err error) {
	open := func() error {
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_NETFILTER)
		if err != nil {
			return fmt.Errorf("open nftables socket: %w", err)
		}
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bufferSize) // more room, fewer lost events
		err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (unix.NFNLGRP_NFTABLES - 1)})
		if err != nil {
			unix.Close(fd)
			return fmt.Errorf("subscribe to changes of nftables: %w", err)
		}
		file = os.NewFile(uintptr(fd), "nftables")
		return nil
	}
	if t.ns == nil {
		return file, open()
	}
	err = t.ns.Do(open)
	return file, err
}

// foreign tells whether messages speak of a change of the table that is not ours.
func (t *Table) foreign(b []byte) bool {
	for len(b) >= unix.SizeofNlMsghdr {
		length := int(nl.NativeEndian().Uint32(b))
		if length < unix.SizeofNlMsghdr || length > len(b) {
			return true
		}
		typ, port := nl.NativeEndian().Uint16(b[4:]), nl.NativeEndian().Uint32(b[12:])
		if typ>>8 == unix.NFNL_SUBSYS_NFTABLES && typ&0xff != unix.NFT_MSG_NEWGEN &&
			!t.ports.own(port) && aboutOurs(b[unix.SizeofNlMsghdr:length]) {
			return true
		}
		b = b[min((length+3)&^3, len(b)):]
	}
	return false
}

// aboutOurs reads a message behind its header: struct nfgenmsg, then attributes, of which the first kind is the name of the table in
// all messages about tables, chains, rules, sets and elements.
func aboutOurs(b []byte) bool {
	if len(b) < 4 || b[0] != unix.NFPROTO_INET {
		return false
	}
	attrs, err := nl.ParseRouteAttr(b[4:])
	if err != nil {
		return true
	}
	for _, a := range attrs {
		if a.Attr.Type == unix.NFTA_TABLE_NAME {
			return string(bytes.TrimRight(a.Value, "\x00")) == tableName
		}
	}
	return false
}
