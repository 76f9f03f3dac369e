package link

import (
	"golang.org/x/sys/unix"

	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// Attributes of RTM_GETNSID (linux/net_namespace.h).
const (
	nsidAttribute = 1
	nsidByFD      = 3
)

// noNumber is that of interfaces whose other end is in their own namespace.
const noNumber = -1

// NumberOf is the number by which this namespace knows another, as in Link.ParentSpace; -1 when no interface leads there.
func (c *Conn) NumberOf(other *netns.Namespace) (int, error) {
	body := message{unix.AF_UNSPEC, 0, 0, 0} // struct rtgenmsg
	body.u32(nsidByFD, uint32(other.FD()))
	number := noNumber
	err := c.getRaw(Op{what: "look up the number of a namespace", typ: unix.RTM_GETNSID, body: body}, func(b []byte) {
		if len(b) < 4 {
			return
		}
		attrs(b[4:], func(typ uint16, v []byte) {
			if typ == nsidAttribute && len(v) >= 4 {
				number = int(int32(u32(v)))
			}
		})
	})
	return number, err
}
