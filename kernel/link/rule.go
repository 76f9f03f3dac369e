package link

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Rule is a routing rule that sends packets by their source to a table.
type Rule struct {
	// Source is invalid for rules that look at something else (read only).
	Source netip.Prefix
	Table  int
	// Priority is the place among the rules; 0 for a new one is in front of all but the first.
	Priority int
}

// AddRule adds a rule.
func AddRule(r Rule) Op {
	return Op{what: "add " + r.String(), typ: unix.RTM_NEWRULE, flags: unix.NLM_F_CREATE | unix.NLM_F_EXCL, body: r.message()}
}

// DeleteRule removes one rule of this source and table, and of this priority unless it is 0.
func DeleteRule(r Rule) Op {
	return Op{what: "delete " + r.String(), typ: unix.RTM_DELRULE, body: r.message()}
}

func (r Rule) String() string { return fmt.Sprintf("rule from %s table %d", r.Source, r.Table) }

// message is a struct fib_rule_hdr with its attributes.
func (r Rule) message() message {
	m := message{family(r.Source.Addr()), 0, uint8(r.Source.Bits()), 0, unix.RT_TABLE_UNSPEC, 0, 0, unix.FR_ACT_TO_TBL}
	m = append32(m, 0)
	if r.Source.Bits() > 0 {
		m.attr(unix.FRA_SRC, r.Source.Masked().Addr().AsSlice())
	}
	m.u32(unix.FRA_TABLE, uint32(r.Table))
	if r.Priority > 0 {
		m.u32(unix.FRA_PRIORITY, uint32(r.Priority))
	}
	return m
}

// Rules lists the rules of both families that lead to a table, in their order.
func (c *Conn) Rules() ([]Rule, error) {
	var all []Rule
	for _, af := range []uint8{unix.AF_INET, unix.AF_INET6} {
		start := len(all)
		err := c.dump(fmt.Sprintf("rules of family %d", af), unix.RTM_GETRULE, message{af, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
			func() { all = all[:start] },
			func(_ uint16, b []byte) {
				if r, ok := readRule(b); ok {
					all = append(all, r)
				}
			})
		if err != nil && !Unsupported(err) {
			return nil, err
		}
	}
	return all, nil
}

func readRule(b []byte) (r Rule, ok bool) {
	const size = 12
	if len(b) < size || b[7] != unix.FR_ACT_TO_TBL || binary.NativeEndian.Uint32(b[8:])&unix.FIB_RULE_INVERT != 0 {
		return r, false
	}
	r.Table = int(b[4])
	attrs(b[size:], func(typ uint16, v []byte) {
		switch typ {
		case unix.FRA_SRC:
			if a, ok := netip.AddrFromSlice(v); ok && int(b[2]) <= a.BitLen() {
				r.Source = netip.PrefixFrom(a, int(b[2]))
			}
		case unix.FRA_TABLE:
			r.Table = int(u32(v))
		case unix.FRA_PRIORITY:
			r.Priority = int(u32(v))
		}
	})
	return r, true
}
