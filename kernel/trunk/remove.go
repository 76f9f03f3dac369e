package trunk

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/tsunagu-net/tsunagu/kernel/link"
)

// Remove forgets a port, whether its interface exists or not; what is not a
// port is success. A trunk without ports becomes what it was.
func (s *Switch) Remove(index int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.remove(uint32(index))
}

// Prune forgets the ports whose interfaces have gone.
func (s *Switch) Prune() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var failed error
	for index := range s.ports {
		if !s.exists(index) {
			failed = errors.Join(failed, s.remove(index))
		}
	}
	return failed
}

func (s *Switch) exists(index uint32) bool {
	_, err := s.conn.ByIndex(int(index))
	return !link.Missing(err)
}

func (s *Switch) remove(index uint32) error {
	v, is := s.ports[index]
	if !is {
		return nil
	}
	failed := s.leave(index, v)
	if s.exists(index) {
		failed = errors.Join(failed, s.detach(int(index), fromPod))
	}
	failed = errors.Join(failed,
		forgiving(s.objects.TsuPort.Delete(index)),
		sweep(s.objects.TsuAddress, func(k addressKey) bool { return k.Port == index }),
		sweep(s.objects.TsuDrop, func(k dropKey) bool { return k.Port == index }))
	if failed != nil {
		return fmt.Errorf("remove port %d: %w", index, failed)
	}
	delete(s.ports, index)
	return nil
}

// leave takes a port off its VLAN.
func (s *Switch) leave(index uint32, v portValue) error {
	if v.Flags&bridged != 0 {
		return nil
	}
	var holder uint32
	if s.objects.TsuFdb.Lookup(v.fdb(), &holder) == nil && holder == index {
		if err := forgiving(s.objects.TsuFdb.Delete(v.fdb())); err != nil {
			return err
		}
	}
	slots, err := s.members(v)
	if err != nil {
		return err
	}
	kept := 0
	for _, member := range slots {
		if member == index {
			continue
		}
		if slots[kept] != member {
			if err := s.objects.TsuMember.Put(memberKey{v.Trunk, uint32(v.VLAN), uint32(kept)}, member); err != nil {
				return err
			}
		}
		kept++
	}
	if kept > 0 {
		err = s.objects.TsuVlan.Put(v.vlan(), uint32(kept))
	} else {
		err = forgiving(s.objects.TsuVlan.Delete(v.vlan()))
	}
	for slot := kept; slot < len(slots); slot++ {
		err = errors.Join(err, forgiving(s.objects.TsuMember.Delete(memberKey{v.Trunk, uint32(v.VLAN), uint32(slot)})))
	}
	if err != nil || kept > 0 {
		return err
	}
	return s.dropTrunk(v.Trunk)
}

// dropTrunk makes a trunk without VLANs what it was.
func (s *Switch) dropTrunk(index uint32) error {
	var k vlanKey
	var n uint32
	all := s.objects.TsuVlan.Iterate()
	for all.Next(&k, &n) {
		if k.Trunk == index {
			return nil
		}
	}
	if err := all.Err(); err != nil {
		return err
	}
	var state uint32
	if err := s.objects.TsuTrunk.Lookup(index, &state); err != nil {
		return forgiving(err)
	}
	l, err := s.conn.ByIndex(int(index))
	if err == nil {
		err = s.detach(int(index), fromTrunk)
		if err == nil && state&madePromiscuous != 0 {
			err = s.promiscuous(l, false)
		}
	}
	if err != nil && !link.Missing(err) {
		return err
	}
	return errors.Join(forgiving(s.objects.TsuTrunk.Delete(index)),
		sweep(s.objects.TsuDrop, func(k dropKey) bool { return k.Trunk == index && k.Port == 0 }))
}

func (s *Switch) promiscuous(l link.Link, on bool) error {
	return s.conn.Apply(link.Set(link.Change{Device: l.Name, Index: l.Index, Promisc: &on}))
}

// forgiving takes what is not there for done.
func forgiving(err error) error {
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil
	}
	return err
}

// sweep deletes the keys of a map that match.
func sweep[K comparable](m *ebpf.Map, match func(K) bool) error {
	var k, v = *new(K), make([]byte, m.ValueSize())
	var found []K
	all := m.Iterate()
	for all.Next(&k, &v) {
		if match(k) {
			found = append(found, k)
		}
	}
	// A map that changes under the eye may be read in part; the next sweep
	// finds the rest.
	failed := all.Err()
	if errors.Is(failed, ebpf.ErrIterationAborted) {
		failed = nil
	}
	for _, k := range found {
		failed = errors.Join(failed, forgiving(m.Delete(k)))
	}
	return failed
}
