package kind

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tsunagu-net/tsunagu/kernel/link"
)

// cards are the network cards of the node: the kernel's, or a test's.
type cards interface {
	// FunctionOf finds which virtual function of which physical one a PCI device is, DeviceOf its interface, DriverOf its driver.
	FunctionOf(pci string) (pf string, id int, err error)
	DeviceOf(pci string) (string, error)
	DriverOf(pci string) string
	// Functions lists what a card does with its virtual functions, Change tells it.
	Functions(node *link.Conn, pf string) ([]link.Function, error)
	Change(node *link.Conn, pf string, c link.FunctionChange) error
}

// kernelCards are the real ones.
type kernelCards struct{}

func (kernelCards) FunctionOf(pci string) (string, int, error) { return link.FunctionOf(pci) }
func (kernelCards) DriverOf(pci string) string                 { return link.DriverOf(pci) }

// DeviceOf also finds devices of the auxiliary bus, such as subfunctions.
func (kernelCards) DeviceOf(pci string) (string, error) {
	if !pciAddress.MatchString(pci) {
		return link.OfAuxiliary(pci)
	}
	return link.OfPCI(pci)
}

func (kernelCards) Functions(node *link.Conn, pf string) ([]link.Function, error) {
	l, err := node.ByName(pf)
	if err != nil {
		return nil, err
	}
	return node.Functions(l.Index)
}

func (kernelCards) Change(node *link.Conn, pf string, c link.FunctionChange) error {
	l, err := node.ByName(pf)
	if err != nil {
		return err
	}
	return node.Apply(link.SetFunction(pf, l.Index, c)...)
}

// userspaceDrivers leave a device without an interface: a program of the Pod drives it (DPDK).
var userspaceDrivers = []string{"vfio-pci", "uio_pci_generic", "igb_uio"}

// configure tells the card about the function of a job, and keeps what it did before with the device.
func (t *transaction) configureFunction(j *job) error {
	if j.function == nil {
		return nil
	}
	f := *j.function
	all, err := t.cards.Functions(t.node, f.PF)
	if err != nil {
		return fmt.Errorf("sriov: read functions of %s: %w", f.PF, err)
	}
	i := slices.IndexFunc(all, func(one link.Function) bool { return one.ID == f.Want.ID })
	if i < 0 {
		return fmt.Errorf("sriov: card %s does not tell of its virtual function %d", f.PF, f.Want.ID)
	}
	j.taken.Function = &Function{PF: f.PF, Want: undoing(all[i], f.Want)}
	return nil
}

// undoing is the change that makes a function what it was, as far as it is about to be changed.
func undoing(was link.Function, want link.FunctionChange) link.FunctionChange {
	back := link.FunctionChange{ID: was.ID}
	no := false
	if want.VLAN != nil {
		back.VLAN, back.Priority, back.Service = &was.VLAN, was.Priority, was.Service
	}
	if want.MAC != nil {
		back.MAC = was.MAC
	}
	if want.SpoofCheck != nil {
		back.SpoofCheck = was.SpoofCheck
	}
	if want.Trust != nil {
		if back.Trust = was.Trust; back.Trust == nil {
			back.Trust = &no // a card that does not tell: off, as sriov-cni leaves it
		}
	}
	if want.State != "" {
		back.State = was.State
	}
	if want.MinRate != nil {
		back.MinRate, back.MaxRate = &was.MinRate, &was.MaxRate
	}
	return back
}

// changes tells whether anything is asked of a card.
func changes(c link.FunctionChange) bool {
	return c.VLAN != nil || c.MAC != nil || c.SpoofCheck != nil || c.Trust != nil || c.State != "" || c.MinRate != nil
}

// resetFunction tells a card what it did before. A card that is gone has nothing to be told.
func (w *Wirer) resetFunction(node *link.Conn, was Device) error {
	if was.Function == nil || !changes(was.Function.Want) {
		return nil
	}
	err := w.cards.Change(node, was.Function.PF, was.Function.Want)
	if link.Missing(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("give virtual function %d of %s back: %w", was.Function.Want.ID, was.Function.PF, err)
	}
	return nil
}

// releaseFunctions is for devices that have no interface to carry a note of how they were.
func (w *Wirer) releaseFunctions(node *link.Conn, records []Record) (failed error) {
	for _, r := range records {
		if r.Userspace && r.Device != nil {
			failed = errors.Join(failed, w.resetFunction(node, *r.Device))
		}
	}
	return failed
}

// compareFunction finds the first difference of what the card does.
func (w *Wirer) compareFunction(node *link.Conn, r Record) error {
	if r.Function == nil {
		return nil
	}
	want := r.Function.Want
	all, err := w.cards.Functions(node, r.Function.PF)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(one link.Function) bool { return one.ID == want.ID })
	if i < 0 {
		return Mismatch{IfName: r.IfName, What: fmt.Sprintf("virtual function %d of %s", want.ID, r.Function.PF), Want: "present", Have: "missing"}
	}
	have := undoing(all[i], want)
	a, b := describeFunction(want), describeFunction(have)
	if a != b {
		return Mismatch{IfName: r.IfName, What: fmt.Sprintf("virtual function %d of %s", want.ID, r.Function.PF), Want: a, Have: b}
	}
	return nil
}

// describeFunction says what is asked of a card.
func describeFunction(c link.FunctionChange) string {
	onOff := map[bool]string{true: "on", false: "off"}
	var all []string
	say := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if c.VLAN != nil {
		say("VLAN %d priority %d", *c.VLAN, c.Priority)
		if c.Service {
			say("802.1ad")
		}
	}
	if c.MAC != nil {
		say("MAC %s", c.MAC)
	}
	if c.SpoofCheck != nil {
		say("spoof check %s", onOff[*c.SpoofCheck])
	}
	if c.Trust != nil {
		say("trust %s", onOff[*c.Trust])
	}
	if c.State != "" {
		say("link state %s", c.State)
	}
	if c.MinRate != nil && c.MaxRate != nil {
		say("rates %d to %d Mbit/s", *c.MinRate, *c.MaxRate)
	}
	return strings.Join(all, ", ")
}
