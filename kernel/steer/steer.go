package steer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
)

// Steer leads connections away while it is on. Its methods may be called from any
// goroutine.
type Steer struct {
	addresses, sockets *ebpf.Map
	program            *ebpf.Program
	link               link.Link
	listeners          map[uint32]*net.TCPListener
}

// loopback is where the socket of a family listens: nobody is meant to come there
// unless led.
var loopback = map[uint32]netip.AddrPort{slot4: netip.MustParseAddrPort("127.0.0.1:0"), slot6: netip.MustParseAddrPort("[::1]:0")}

// New prepares, in the namespace of the calling thread, to lead connections for the
// addresses and the port to Listeners. Nothing is led anywhere before On.
func New(port uint16, addresses ...netip.Addr) (*Steer, error) {
	// Kernels before 5.11 count maps against the locked memory.
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, fmt.Errorf("lift the limit on locked memory: %w", err)
	}
	s := &Steer{listeners: map[uint32]*net.TCPListener{}}
	err := s.listen(addresses)
	if err == nil {
		err = s.open(port, addresses)
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Listeners accept what is led away. They are closed by Close.
func (s *Steer) Listeners() (all []net.Listener) {
	for _, l := range s.listeners {
		all = append(all, l)
	}
	return all
}

func (s *Steer) listen(addresses []netip.Addr) error {
	// The kernel's map takes no socket of Multipath TCP, which is Go's default.
	var plain net.ListenConfig
	plain.SetMultipathTCP(false)
	for _, a := range addresses {
		slot := uint32(slot6)
		if a.Is4() {
			slot = slot4
		}
		if s.listeners[slot] != nil {
			continue
		}
		l, err := plain.Listen(context.Background(), "tcp", loopback[slot].String())
		if err != nil {
			return fmt.Errorf("listen for connections that are led away: %w", err)
		}
		s.listeners[slot] = l.(*net.TCPListener)
	}
	return nil
}

func (s *Steer) open(port uint16, addresses []netip.Addr) (err error) {
	if s.addresses, err = ebpf.NewMap(&ebpf.MapSpec{Name: "tsu_steered", Type: ebpf.Hash, KeySize: 16, ValueSize: 1, MaxEntries: uint32(max(len(addresses), 1))}); err != nil {
		return fmt.Errorf("make the map of addresses: %w", err)
	}
	for _, a := range addresses {
		if err := s.addresses.Put(a.As16(), uint8(1)); err != nil {
			return fmt.Errorf("note the address %s: %w", a, err)
		}
	}
	if s.sockets, err = ebpf.NewMap(&ebpf.MapSpec{Name: "tsu_steered_to", Type: ebpf.SockMap, KeySize: 4, ValueSize: 8, MaxEntries: 2}); err != nil {
		return fmt.Errorf("make the map of sockets: %w", err)
	}
	if s.program, err = ebpf.NewProgram(program(port, s.addresses, s.sockets)); err != nil {
		return fmt.Errorf("load the program of the socket lookup: %w", err)
	}
	here, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return fmt.Errorf("find the own network namespace: %w", err)
	}
	defer here.Close()
	if s.link, err = link.AttachNetNs(int(here.Fd()), s.program); err != nil {
		return fmt.Errorf("attach the program to the socket lookup: %w", err)
	}
	return nil
}

// On leads new connections to the listeners.
func (s *Steer) On() error {
	for slot, l := range s.listeners {
		if err := s.put(slot, l); err != nil {
			return fmt.Errorf("lead connections to %s: %w", l.Addr(), err)
		}
	}
	return nil
}

func (s *Steer) put(slot uint32, l *net.TCPListener) error {
	raw, err := l.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = s.sockets.Put(slot, uint64(fd)) })
	return errors.Join(err, failed)
}

// Off leaves new connections to the port's own listener.
func (s *Steer) Off() error {
	for slot := range s.listeners {
		if err := s.sockets.Delete(slot); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) && !errors.Is(err, syscall.EINVAL) {
			return fmt.Errorf("lead connections away no more: %w", err)
		}
	}
	return nil
}

// Close leaves everything as it was.
func (s *Steer) Close() {
	for _, l := range s.listeners {
		l.Close()
	}
	if s.link != nil {
		s.link.Close()
	}
	s.program.Close()
	s.sockets.Close()
	s.addresses.Close()
}
