package trunk

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/cilium/ebpf"
)

// Put makes a port what it is to be, whatever it was, and puts back whatever
// somebody removed. The order is such that nothing passes unchecked: a port
// without a program is on no VLAN.
func (s *Switch) Put(p Port) error {
	if err := p.valid(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	index, v := uint32(p.Index), p.value()
	if was, is := s.ports[index]; is && was != v {
		if was.fdb() != v.fdb() || was.Flags&bridged != v.Flags&bridged {
			if err := s.leave(index, was); err != nil {
				return err
			}
		}
	}
	if other, taken := s.holder(v); taken && other != index && !p.Bridged {
		return Taken{MAC: p.MAC, Index: int(other)}
	}
	if err := s.allow(index, p.Addresses); err != nil {
		return err
	}
	if err := s.objects.TsuPort.Put(index, v); err != nil {
		return fmt.Errorf("put port %d: %w", index, err)
	}
	s.ports[index] = v
	if err := s.attach(p.Index, s.objects.TsuFromPod); err != nil {
		return err
	}
	if p.Bridged {
		return nil
	}
	return s.join(index, v)
}

// holder is the port that has a MAC on a VLAN. One whose interface has gone
// holds nothing.
func (s *Switch) holder(v portValue) (index uint32, taken bool) {
	if s.objects.TsuFdb.Lookup(v.fdb(), &index) != nil {
		return 0, false
	}
	if !s.exists(index) {
		_ = s.remove(index)
		return 0, false
	}
	return index, true
}

// allow makes the addresses of a port exactly these.
func (s *Switch) allow(index uint32, addresses []netip.Addr) error {
	wanted := map[addressKey]bool{}
	for _, a := range addresses {
		k := addressKey{index, a.As16()}
		wanted[k] = true
		if err := s.objects.TsuAddress.Put(k, uint8(1)); err != nil {
			return fmt.Errorf("let port %d use %s: %w", index, a, err)
		}
	}
	return sweep(s.objects.TsuAddress, func(k addressKey) bool { return k.Port == index && !wanted[k] })
}

// join puts a port on its VLAN.
func (s *Switch) join(index uint32, v portValue) error {
	if err := s.objects.TsuFdb.Put(v.fdb(), index); err != nil {
		return fmt.Errorf("put MAC %s: %w", net.HardwareAddr(v.MAC[:]), err)
	}
	slots, err := s.members(v)
	if err != nil {
		return err
	}
	present := false
	for _, member := range slots {
		present = present || member == index
	}
	if !present {
		slot := uint32(len(slots))
		if err := s.objects.TsuMember.Put(memberKey{v.Trunk, uint32(v.VLAN), slot}, index); err != nil {
			return fmt.Errorf("put port %d on VLAN %d: %w", index, v.VLAN, err)
		}
		if err := s.objects.TsuVlan.Put(v.vlan(), slot+1); err != nil {
			return fmt.Errorf("put port %d on VLAN %d: %w", index, v.VLAN, err)
		}
	}
	return s.useTrunk(v.Trunk)
}

// members are the ports of a VLAN, by slot.
func (s *Switch) members(v portValue) ([]uint32, error) {
	var n uint32
	if err := s.objects.TsuVlan.Lookup(v.vlan(), &n); errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("read VLAN %d: %w", v.VLAN, err)
	}
	all := make([]uint32, n)
	for slot := range all {
		err := s.objects.TsuMember.Lookup(memberKey{v.Trunk, uint32(v.VLAN), uint32(slot)}, &all[slot])
		if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return nil, fmt.Errorf("read VLAN %d: %w", v.VLAN, err)
		}
	}
	return all, nil
}

// Promiscuous is kept of a trunk: the switch has made it so.
const madePromiscuous = 1

// useTrunk makes a trunk hand over frames for any MAC and any VLAN, as a
// bridge does, and hooks into it.
func (s *Switch) useTrunk(index uint32) error {
	l, err := s.conn.ByIndex(int(index))
	if err != nil {
		return err
	}
	var state uint32
	err = s.objects.TsuTrunk.Lookup(index, &state)
	if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("read trunk %s: %w", l.Name, err)
	}
	if !l.Promisc {
		state |= madePromiscuous
	}
	if err := s.objects.TsuTrunk.Put(index, state); err != nil {
		return fmt.Errorf("put trunk %s: %w", l.Name, err)
	}
	if !l.Promisc {
		if err := s.promiscuous(l, true); err != nil {
			return err
		}
	}
	return s.attach(int(index), s.objects.TsuFromTrunk)
}
