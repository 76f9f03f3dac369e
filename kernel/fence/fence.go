package fence

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"
)

// Now is the kernel's time since it booted, suspended time included
// (CLOCK_BOOTTIME).
func Now() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		panic("clock_gettime(CLOCK_BOOTTIME): " + err.Error()) // every Linux since 2.6.39 has it
	}
	return time.Duration(t.Nano())
}

// most is how many addresses can be guarded.
const most = 4096

// Fence guards addresses on the interfaces of one network namespace. It is
// closed until Allow. Its methods may be called from any goroutine.
type Fence struct {
	guarded, until, dropped *ebpf.Map
	in, out                 *ebpf.Program
}

// New loads the programs. Nothing is guarded before Attach.
func New() (*Fence, error) {
	// Kernels before 5.11 count maps against the locked memory.
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, fmt.Errorf("lift the limit on locked memory: %w", err)
	}
	f := &Fence{}
	err := f.load()
	if err != nil {
		f.Close()
		if errors.Is(err, os.ErrPermission) {
			err = fmt.Errorf("%w; the process needs the capabilities BPF and NET_ADMIN (before Linux 5.8: SYS_ADMIN)", err)
		}
		return nil, err
	}
	return f, nil
}

func (f *Fence) load() (err error) {
	if f.guarded, err = ebpf.NewMap(&ebpf.MapSpec{Name: "tsu_guarded", Type: ebpf.Hash, KeySize: 16, ValueSize: 1, MaxEntries: most}); err != nil {
		return fmt.Errorf("make the map of guarded addresses: %w", err)
	}
	if f.until, err = ebpf.NewMap(&ebpf.MapSpec{Name: "tsu_until", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1}); err != nil {
		return fmt.Errorf("make the map of the deadline: %w", err)
	}
	if f.dropped, err = ebpf.NewMap(&ebpf.MapSpec{Name: "tsu_dropped", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 2}); err != nil {
		return fmt.Errorf("make the map of dropped frames: %w", err)
	}
	if f.in, err = ebpf.NewProgram(program(inbound, f.guarded, f.until, f.dropped)); err != nil {
		return fmt.Errorf("load the program for frames that come in: %w", err)
	}
	if f.out, err = ebpf.NewProgram(program(outbound, f.guarded, f.until, f.dropped)); err != nil {
		return fmt.Errorf("load the program for frames that go out: %w", err)
	}
	return nil
}

// Guard makes these addresses, and no others, depend on Allow.
func (f *Fence) Guard(addresses ...netip.Addr) error {
	wanted := map[[16]byte]bool{}
	for _, a := range addresses {
		wanted[a.As16()] = true
	}
	for key := range wanted {
		if err := f.guarded.Put(key, uint8(1)); err != nil {
			return fmt.Errorf("guard %s: %w", netip.AddrFrom16(key).Unmap(), err)
		}
	}
	var key [16]byte
	var value uint8
	var gone [][16]byte
	all := f.guarded.Iterate()
	for all.Next(&key, &value) {
		if !wanted[key] {
			gone = append(gone, key)
		}
	}
	if err := all.Err(); err != nil {
		return fmt.Errorf("read the guarded addresses: %w", err)
	}
	for _, key := range gone {
		if err := f.guarded.Delete(key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("guard %s no more: %w", netip.AddrFrom16(key).Unmap(), err)
		}
	}
	return nil
}

// Allow lets the guarded addresses be used until a point of the kernel's time
// (Now). One that has passed closes the fence at once.
func (f *Fence) Allow(until time.Duration) error {
	if err := f.until.Put(uint32(0), uint64(max(until, 0))); err != nil {
		return fmt.Errorf("set until when the guarded addresses may be used: %w", err)
	}
	return nil
}

// Dropped is how many frames were kept from coming in and from going out.
func (f *Fence) Dropped() (in, out uint64, err error) {
	if err = f.dropped.Lookup(uint32(0), &in); err == nil {
		err = f.dropped.Lookup(uint32(1), &out)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("read the number of dropped frames: %w", err)
	}
	return in, out, nil
}

// Attach guards an interface, before any other program there. What a former
// process attached goes only then, so there is no moment without a fence.
func (f *Fence) Attach(ifindex int) error {
	h := findHook()
	for _, x := range []struct {
		program *ebpf.Program
		where   ebpf.AttachType
	}{{f.in, ebpf.AttachTCXIngress}, {f.out, ebpf.AttachTCXEgress}} {
		former, err := attached(h, ifindex, x.where)
		if err != nil {
			return err
		}
		mine, err := programID(x.program)
		if err != nil {
			return err
		}
		if slices.Contains(former, mine) {
			continue
		}
		if err := h.attach(ifindex, x.where, x.program, former); err != nil {
			return fmt.Errorf("attach the fence to interface %d: %w", ifindex, err)
		}
	}
	return nil
}

// Detach takes this process's fence off an interface, for one that ends in peace when the addresses have left the node: other programs there may have
// them next. One that another process has attached since stays.
func (f *Fence) Detach(ifindex int) error {
	h := findHook()
	for _, x := range []struct {
		program *ebpf.Program
		where   ebpf.AttachType
	}{{f.in, ebpf.AttachTCXIngress}, {f.out, ebpf.AttachTCXEgress}} {
		ids, err := attached(h, ifindex, x.where)
		if err != nil {
			return err
		}
		mine, err := programID(x.program)
		if err != nil {
			return err
		}
		if !slices.Contains(ids, mine) {
			continue
		}
		if err := h.detach(ifindex, x.where, []ebpf.ProgramID{mine}); err != nil && !errors.Is(err, unix.ENODEV) {
			return fmt.Errorf("take the fence off interface %d: %w", ifindex, err)
		}
	}
	return nil
}

// Remove takes the fence of this or a former process off an interface. Nothing
// is guarded there any more.
func Remove(ifindex int) error {
	h := findHook()
	for _, where := range []ebpf.AttachType{ebpf.AttachTCXIngress, ebpf.AttachTCXEgress} {
		ids, err := attached(h, ifindex, where)
		if err != nil {
			return err
		}
		if err := h.detach(ifindex, where, ids); err != nil && !errors.Is(err, unix.ENODEV) {
			return fmt.Errorf("take the fence off interface %d: %w", ifindex, err)
		}
	}
	return nil
}

// attached finds our programs by their names.
func attached(h hook, ifindex int, where ebpf.AttachType) ([]ebpf.ProgramID, error) {
	found, err := h.list(ifindex, where)
	if errors.Is(err, unix.ENODEV) {
		return nil, nil // and its programs with it
	}
	if err != nil {
		return nil, fmt.Errorf("list the programs of interface %d: %w", ifindex, err)
	}
	var ours []ebpf.ProgramID
	for _, id := range found {
		p, err := ebpf.NewProgramFromID(id)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("look at program %d of interface %d: %w", id, ifindex, err)
		}
		info, err := p.Info()
		p.Close()
		if err != nil {
			return nil, fmt.Errorf("look at program %d of interface %d: %w", id, ifindex, err)
		}
		// The kernel keeps the first 15 bytes of a name.
		if strings.HasPrefix(info.Name, "tsu_fence_") {
			ours = append(ours, id)
		}
	}
	return ours, nil
}

func programID(p *ebpf.Program) (ebpf.ProgramID, error) {
	info, err := p.Info()
	if err != nil {
		return 0, fmt.Errorf("look at the own program: %w", err)
	}
	id, ok := info.ID()
	if !ok {
		return 0, errors.New("look at the own program: the kernel gives it no number (Linux 4.13 or later is needed)")
	}
	return id, nil
}

// Close lets go of the programs and maps. Those that are attached stay, and
// what was allowed ends in its time.
func (f *Fence) Close() {
	for _, p := range []*ebpf.Program{f.in, f.out} {
		p.Close()
	}
	for _, m := range []*ebpf.Map{f.guarded, f.until, f.dropped} {
		m.Close()
	}
}
