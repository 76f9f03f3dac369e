package link

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Delete removes a link by name.
func Delete(name string) Op {
	var m message
	m.info(0, 0, 0)
	m.text(unix.IFLA_IFNAME, name)
	return Op{what: "delete interface", device: name, typ: unix.RTM_DELLINK, body: m}
}

// DeleteIndex removes a link by index; name is for the error.
func DeleteIndex(name string, index int) Op {
	var m message
	m.info(index, 0, 0)
	return Op{what: "delete interface", device: name, typ: unix.RTM_DELLINK, body: m}
}

// DeleteGroup removes all links of a group at once. The kernel waits for its readers once for all of them, which is most of the cost
// of a removal. The error is Missing when there is none, Unsupported when one of them is hardware; then none is removed.
func DeleteGroup(group uint32) Op {
	var m message
	m.info(0, 0, 0)
	m.u32(unix.IFLA_GROUP, group)
	return Op{what: fmt.Sprintf("delete interfaces of group %#x", group), typ: unix.RTM_DELLINK, body: m}
}
