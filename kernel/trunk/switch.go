package trunk

import (
	"errors"
	"fmt"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"

	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// Switch is the switch of one network namespace. It is safe for use by many
// goroutines; only one Switch of a namespace may be open.
type Switch struct {
	ns   *netns.Namespace
	conn *link.Conn
	hook hook

	mu      sync.Mutex
	objects objectObjects
	ports   map[uint32]portValue
}

// Open loads the programs. What a former process has left in the namespace is
// taken over with its ports: nothing is interrupted. Nothing else is attached
// before Put. The namespace must stay open until Close.
func Open(ns *netns.Namespace) (*Switch, error) {
	// Kernels before 5.11 count maps against the locked memory.
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, fmt.Errorf("lift the limit on locked memory: %w", err)
	}
	s := &Switch{ns: ns, ports: map[uint32]portValue{}}
	var err error
	if s.conn, err = link.Dial(ns); err != nil {
		return nil, err
	}
	if s.hook, err = findHook(ns); err == nil {
		err = s.load()
	}
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("start the switch of VLANs: %w", err)
	}
	return s, nil
}

// load makes programs and maps, with the maps of a former process if it left
// any that fit.
func (s *Switch) load() error {
	links, err := s.conn.Links()
	if err != nil {
		return err
	}
	former, err := s.former(links)
	if err != nil {
		return err
	}
	defer former.close()
	spec, err := loadObject()
	if err != nil {
		return err
	}
	err = spec.LoadAndAssign(&s.objects, &ebpf.CollectionOptions{MapReplacements: former.maps})
	if errors.Is(err, ebpf.ErrMapIncompatible) {
		// Of another version: the ports come back with Put, one by one.
		former.attached = nil
		err = spec.LoadAndAssign(&s.objects, nil)
	}
	if err != nil {
		return err
	}
	// No program reads this map: what is known of trunks goes with them all the same.
	for _, p := range []*ebpf.Program{s.objects.TsuFromPod, s.objects.TsuFromTrunk} {
		if err := p.BindMap(s.objects.TsuTrunk); err != nil {
			return fmt.Errorf("bind the map of trunks: %w", err)
		}
	}
	if err := s.remember(); err != nil {
		return err
	}
	// The programs of another version give way to these, over the same maps.
	for _, x := range former.attached {
		if err := s.attach(x.index, s.program(x.name)); err != nil {
			return err
		}
	}
	return nil
}

func (s *Switch) program(name string) *ebpf.Program {
	if name == fromTrunk {
		return s.objects.TsuFromTrunk
	}
	return s.objects.TsuFromPod
}

// remember reads the ports back from the kernel.
func (s *Switch) remember() error {
	var index uint32
	var v portValue
	all := s.objects.TsuPort.Iterate()
	for all.Next(&index, &v) {
		s.ports[index] = v
	}
	if err := all.Err(); err != nil {
		return fmt.Errorf("read the ports: %w", err)
	}
	return nil
}

// Ports lists the ports, without the addresses they are held to.
func (s *Switch) Ports() []Port {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Port, 0, len(s.ports))
	for index, v := range s.ports {
		all = append(all, v.port(index))
	}
	return all
}

// Close lets go of programs and maps. What is attached stays, and works.
func (s *Switch) Close() error {
	s.objects.Close()
	if s.conn != nil {
		return s.conn.Close()
	}
	return nil
}
