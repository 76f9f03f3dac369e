package trunk

import (
	"errors"
	"fmt"
	"os"

	"github.com/cilium/ebpf"
	bpflink "github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
)

// The programs by the names the kernel shows.
const (
	fromPod   = "tsu_from_pod"
	fromTrunk = "tsu_from_trunk"
)

// hook is the way programs are attached to what comes in by an interface. It
// works in the namespace of the caller.
type hook interface {
	// list is what is attached, of anybody.
	list(index int) ([]ebpf.ProgramID, error)
	// attach puts a program before all others; former ones of ours go.
	attach(index int, p *ebpf.Program, former []ebpf.ProgramID) error
	detach(index int, ids []ebpf.ProgramID) error
}

// findHook is tcx where the kernel has it (since Linux 6.6), else cls_bpf.
func findHook(ns *netns.Namespace) (h hook, err error) {
	err = ns.Do(func() error {
		if _, err := (tcx{}).list(1); err == nil {
			h = tcx{}
		} else {
			h = clsact{}
		}
		return nil
	})
	return h, err
}

// tcx is the list of programs that an interface has of itself.
type tcx struct{}

func (tcx) list(index int) ([]ebpf.ProgramID, error) {
	found, err := bpflink.QueryPrograms(bpflink.QueryOptions{Target: index, Attach: ebpf.AttachTCXIngress})
	if err != nil {
		return nil, err
	}
	ids := make([]ebpf.ProgramID, 0, len(found.Programs))
	for _, p := range found.Programs {
		ids = append(ids, p.ID)
	}
	return ids, nil
}

func (t tcx) attach(index int, p *ebpf.Program, former []ebpf.ProgramID) error {
	err := bpflink.RawAttachProgram(bpflink.RawAttachProgramOptions{Target: index, Program: p, Attach: ebpf.AttachTCXIngress, Anchor: bpflink.Head()})
	if err != nil {
		return err
	}
	return t.detach(index, former)
}

func (tcx) detach(index int, ids []ebpf.ProgramID) error {
	for _, id := range ids {
		p, err := ebpf.NewProgramFromID(id)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		err = bpflink.RawDetachProgram(bpflink.RawDetachProgramOptions{Target: index, Program: p, Attach: ebpf.AttachTCXIngress})
		p.Close()
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// clsact is a filter with direct action on the queueing discipline of the
// same name, for kernels before 6.6.
type clsact struct{}

// filterHandle and filterPriority are of our filter; others of the same
// priority live beside it.
const (
	filterHandle   = 0x7473
	filterPriority = 1
)

func (clsact) filter(index int) *netlink.BpfFilter {
	return &netlink.BpfFilter{FilterAttrs: netlink.FilterAttrs{LinkIndex: index, Parent: netlink.HANDLE_MIN_INGRESS,
		Handle: filterHandle, Protocol: unix.ETH_P_ALL, Priority: filterPriority}, DirectAction: true}
}

func (clsact) list(index int) ([]ebpf.ProgramID, error) {
	all, err := netlink.FilterList(&netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Index: index}}, netlink.HANDLE_MIN_INGRESS)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
		return nil, nil // no such discipline
	}
	if err != nil {
		return nil, err
	}
	var ids []ebpf.ProgramID
	for _, f := range all {
		if b, is := f.(*netlink.BpfFilter); is && b.Handle == filterHandle {
			ids = append(ids, ebpf.ProgramID(b.Id))
		}
	}
	return ids, nil
}

func (c clsact) attach(index int, p *ebpf.Program, _ []ebpf.ProgramID) error {
	err := netlink.QdiscAdd(&netlink.GenericQdisc{QdiscType: "clsact",
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: index, Parent: netlink.HANDLE_CLSACT, Handle: netlink.MakeHandle(0xffff, 0)}})
	if err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("add the discipline clsact: %w", err)
	}
	f := c.filter(index)
	f.Fd, f.Name = p.FD(), "tsunagu"
	return netlink.FilterReplace(f)
}

func (c clsact) detach(index int, ids []ebpf.ProgramID) error {
	if len(ids) == 0 {
		return nil
	}
	if err := netlink.FilterDel(c.filter(index)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// attach hooks a program into an interface, unless it is there.
func (s *Switch) attach(index int, p *ebpf.Program) error {
	info, err := p.Info()
	if err != nil {
		return fmt.Errorf("look at the own program: %w", err)
	}
	id, ok := info.ID()
	if !ok {
		return errors.New("look at the own program: the kernel gives it no number")
	}
	return s.ns.Do(func() error {
		former, err := s.ours(index, info.Name)
		if err != nil {
			return err
		}
		if len(former) == 1 && former[0] == id {
			return nil
		}
		if err := s.hook.attach(index, p, former); err != nil {
			return fmt.Errorf("attach %s to interface %d: %w", info.Name, index, err)
		}
		return nil
	})
}

func (s *Switch) detach(index int, name string) error {
	return s.ns.Do(func() error {
		ids, err := s.ours(index, name)
		if err == nil {
			err = s.hook.detach(index, ids)
		}
		if err != nil && !errors.Is(err, unix.ENODEV) {
			return fmt.Errorf("take %s off interface %d: %w", name, index, err)
		}
		return nil
	})
}

// ours finds the programs of a name on an interface.
func (s *Switch) ours(index int, name string) ([]ebpf.ProgramID, error) {
	ids, err := s.hook.list(index)
	if err != nil {
		return nil, fmt.Errorf("list the programs of interface %d: %w", index, err)
	}
	var ours []ebpf.ProgramID
	for _, id := range ids {
		if have, _, err := look(id); err == nil && have == name {
			ours = append(ours, id)
		}
	}
	return ours, nil
}

// look reads a program's name and the maps it uses.
func look(id ebpf.ProgramID) (name string, maps []ebpf.MapID, err error) {
	p, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return "", nil, err
	}
	defer p.Close()
	info, err := p.Info()
	if err != nil {
		return "", nil, err
	}
	maps, _ = info.MapIDs()
	return info.Name, maps, nil
}

// former is what another process has left attached.
type former struct {
	maps     map[string]*ebpf.Map
	attached []attachment
}

type attachment struct {
	index int
	name  string
}

func (f former) close() {
	for _, m := range f.maps {
		m.Close()
	}
}

// former looks for our programs on all interfaces.
func (s *Switch) former(links []link.Link) (f former, err error) {
	err = s.ns.Do(func() error {
		for _, l := range links {
			ids, err := s.hook.list(l.Index)
			if err != nil {
				continue // gone meanwhile
			}
			for _, id := range ids {
				name, maps, err := look(id)
				if err != nil || name != fromPod && name != fromTrunk {
					continue
				}
				f.attached = append(f.attached, attachment{l.Index, name})
				f.keep(maps)
			}
		}
		return nil
	})
	return f, err
}

// keep opens the maps of a program. Programs of one switch share them.
func (f *former) keep(ids []ebpf.MapID) {
	for _, id := range ids {
		m, err := ebpf.NewMapFromID(id)
		if err != nil {
			continue
		}
		info, err := m.Info()
		if err != nil || f.maps[info.Name] != nil {
			m.Close()
			continue
		}
		if f.maps == nil {
			f.maps = map[string]*ebpf.Map{}
		}
		f.maps[info.Name] = m
	}
}
