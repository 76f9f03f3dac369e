package fence

import (
	"errors"
	"fmt"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// hook is a way to attach programs to an interface of the calling thread's
// namespace. What an interface that is gone had is gone, too.
type hook interface {
	// list is what is attached, of anybody.
	list(ifindex int, where ebpf.AttachType) ([]ebpf.ProgramID, error)
	// attach puts a program before all others, and then takes former ones of
	// ours away.
	attach(ifindex int, where ebpf.AttachType, p *ebpf.Program, former []ebpf.ProgramID) error
	detach(ifindex int, where ebpf.AttachType, ours []ebpf.ProgramID) error
}

// findHook is tcx where the kernel has it (Linux 6.6), else cls_bpf.
func findHook() hook {
	if _, err := (tcx{}).list(1, ebpf.AttachTCXIngress); err == nil || errors.Is(err, unix.ENODEV) {
		return tcx{}
	}
	return clsact{}
}

// tcx is the list of programs that an interface has of itself.
type tcx struct{}

func (tcx) list(ifindex int, where ebpf.AttachType) ([]ebpf.ProgramID, error) {
	found, err := link.QueryPrograms(link.QueryOptions{Target: ifindex, Attach: where})
	if err != nil {
		return nil, err
	}
	var ids []ebpf.ProgramID
	for _, x := range found.Programs {
		ids = append(ids, x.ID)
	}
	return ids, nil
}

func (t tcx) attach(ifindex int, where ebpf.AttachType, p *ebpf.Program, former []ebpf.ProgramID) error {
	err := link.RawAttachProgram(link.RawAttachProgramOptions{Target: ifindex, Program: p, Attach: where, Anchor: link.Head()})
	if err != nil {
		return err
	}
	return t.detach(ifindex, where, former)
}

func (tcx) detach(ifindex int, where ebpf.AttachType, ours []ebpf.ProgramID) error {
	for _, id := range ours {
		p, err := ebpf.NewProgramFromID(id)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		err = link.RawDetachProgram(link.RawDetachProgramOptions{Target: ifindex, Program: p, Attach: where})
		p.Close()
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// clsact is a filter with direct action on the queueing discipline of the same
// name (tc-bpf(8)). Its actions have tcx's numbers.
type clsact struct{}

// filterHandle is of our filter: a newer one replaces the former in one step.
const (
	filterHandle   = 0x7476
	filterPriority = 1
)

func (clsact) filter(ifindex int, where ebpf.AttachType) *netlink.BpfFilter {
	parent := uint32(netlink.HANDLE_MIN_INGRESS)
	if where == ebpf.AttachTCXEgress {
		parent = netlink.HANDLE_MIN_EGRESS
	}
	return &netlink.BpfFilter{FilterAttrs: netlink.FilterAttrs{LinkIndex: ifindex, Parent: parent, Handle: filterHandle,
		Protocol: unix.ETH_P_ALL, Priority: filterPriority}, DirectAction: true}
}

func (c clsact) list(ifindex int, where ebpf.AttachType) ([]ebpf.ProgramID, error) {
	all, err := netlink.FilterList(&netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Index: ifindex}}, c.filter(ifindex, where).Parent)
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

func (c clsact) attach(ifindex int, where ebpf.AttachType, p *ebpf.Program, _ []ebpf.ProgramID) error {
	err := netlink.QdiscAdd(&netlink.GenericQdisc{QdiscType: "clsact",
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: ifindex, Parent: netlink.HANDLE_CLSACT, Handle: netlink.MakeHandle(0xffff, 0)}})
	if err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("add the discipline clsact: %w", err)
	}
	f := c.filter(ifindex, where)
	f.Fd, f.Name = p.FD(), "tsunagu-fence"
	return netlink.FilterReplace(f)
}

func (c clsact) detach(ifindex int, where ebpf.AttachType, ours []ebpf.ProgramID) error {
	if len(ours) == 0 {
		return nil
	}
	if err := netlink.FilterDel(c.filter(ifindex, where)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
