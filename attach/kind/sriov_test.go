package kind

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/tsunagu-net/tsunagu/kernel/link"
)

// fakeCard is a card pf0 with four virtual functions, the second of which, 0000:03:02.1, has the interface vf1. It remembers what it is
// told.
type fakeCard struct {
	functions [4]link.Function
	driver    string
	refuse    error
	told      int
}

func newFakeCard() *fakeCard {
	c := &fakeCard{}
	for i := range c.functions {
		c.functions[i] = link.Function{ID: i, MAC: net.HardwareAddr{0, 0, 0, 0, 0, 0}, SpoofCheck: flag(true), State: "auto"}
	}
	return c
}

func (c *fakeCard) FunctionOf(pci string) (string, int, error) {
	var id int
	if _, err := fmt.Sscanf(pci, "0000:03:02.%d", &id); err != nil || id >= len(c.functions) {
		return "", 0, fmt.Errorf("%s: %w", pci, os.ErrNotExist)
	}
	return "pf0", id, nil
}

func (c *fakeCard) DeviceOf(pci string) (string, error) {
	if pci != "0000:03:02.1" {
		return "", os.ErrNotExist
	}
	return "vf1", nil
}

func (c *fakeCard) DriverOf(string) string { return c.driver }
func (c *fakeCard) Functions(*link.Conn, string) ([]link.Function, error) {
	return c.functions[:], nil
}

func (c *fakeCard) Change(_ *link.Conn, _ string, w link.FunctionChange) error {
	if c.refuse != nil {
		return c.refuse
	}
	c.told++
	f := &c.functions[w.ID]
	if w.VLAN != nil {
		f.VLAN, f.Priority, f.Service = *w.VLAN, w.Priority, w.Service
	}
	if w.MAC != nil {
		f.MAC = w.MAC
	}
	if w.SpoofCheck != nil {
		f.SpoofCheck = w.SpoofCheck
	}
	if w.Trust != nil {
		f.Trust = w.Trust
	}
	if w.State != "" {
		f.State = w.State
	}
	if w.MinRate != nil {
		f.MinRate, f.MaxRate = *w.MinRate, *w.MaxRate
	}
	return nil
}

const everything = `{"deviceID":"0000:03:02.1","vlan":100,"vlanQoS":3,"vlanProto":"802.1ad","mac":"02:00:5e:10:00:01","spoofchk":"off","trust":"on","link_state":"enable","min_tx_rate":100,"max_tx_rate":200}`

// The interface of a function goes into the Pod and comes back, and the card does what was asked as long as it is there.
func TestSRIOV(t *testing.T) {
	w := newWorld(t)
	card := newFakeCard()
	w.wirer.cards = card
	w.device("vf1")
	before, err := w.conn.ByName("vf1")
	w.must(err)
	untouched := card.functions
	p := w.pod()
	a := w.attach(p, "net1", w.spec("sriov", everything), "10.5.0.2/24")
	wired := w.wire(p, a)
	want := link.Function{ID: 1, MAC: net.HardwareAddr{2, 0, 0x5e, 0x10, 0, 1}, VLAN: 100, Priority: 3, Service: true, SpoofCheck: flag(false), Trust: flag(true), State: "enable", MinRate: 100, MaxRate: 200}
	if !reflect.DeepEqual(card.functions[1], want) {
		t.Errorf("the card does %+v, want %+v", card.functions[1], want)
	}
	if wired[0].MAC != "02:00:5e:10:00:01" || wired[0].Type != "sriov" {
		t.Errorf("wired as %+v", wired[0])
	}
	w.must(w.wirer.Check(context.Background(), p.Path(), wired))
	told := card.told
	if again := w.wire(p, a); again[0].IfIndex != wired[0].IfIndex || card.told != told {
		t.Error("a second time has moved it again")
	}
	for what, drift := range map[string]func(f *link.Function){
		"VLAN 101":              func(f *link.Function) { f.VLAN = 101 },
		"spoof check on":        func(f *link.Function) { f.SpoofCheck = flag(true) },
		"trust off":             func(f *link.Function) { f.Trust = flag(false) },
		"link state disable":    func(f *link.Function) { f.State = "disable" },
		"100 to 300":            func(f *link.Function) { f.MaxRate = 300 },
		"MAC 02:00:00:00:00:00": func(f *link.Function) { f.MAC = net.HardwareAddr{2, 0, 0, 0, 0, 0} },
	} {
		was := card.functions[1]
		drift(&card.functions[1])
		m, ok := errors.AsType[Mismatch](w.wirer.Check(context.Background(), p.Path(), wired))
		if !ok || !strings.Contains(m.Have, what) {
			t.Errorf("%s: check says %v", what, m)
		}
		card.functions[1] = was
	}
	w.unwire(p, nil) // even without a record
	after, err := w.conn.ByName("vf1")
	w.must(err)
	after.Carrier, before.Carrier, before.Index = false, false, after.Index
	if !reflect.DeepEqual(before, after) {
		t.Errorf("came back as %+v, was %+v", after, before)
	}
	untouched[1].Trust = flag(false) // not known before
	if !reflect.DeepEqual(card.functions, untouched) {
		t.Errorf("the card does %+v, did %+v", card.functions, untouched)
	}
}

func TestSRIOVRollback(t *testing.T) {
	w := newWorld(t)
	card := newFakeCard()
	w.wirer.cards = card
	w.device("vf1")
	untouched := card.functions
	untouched[1].Trust = flag(false)
	injected := errors.New("injected")
	for _, step := range []string{"prepare", "create", "observe", "configure", "finish"} {
		p := w.pod()
		w.wirer.fault = func(s string) error {
			if s == step {
				return injected
			}
			return nil
		}
		if _, err := w.wirer.Wire(context.Background(), p.Path(), []Attachment{w.attach(p, "net1", w.spec("sriov", everything))}); !errors.Is(err, injected) {
			t.Fatalf("%s: %v", step, err)
		}
		if _, err := w.conn.ByName("vf1"); err != nil || !reflect.DeepEqual(card.functions, untouched) {
			t.Errorf("after %s: %v, %+v", step, err, card.functions[1])
		}
	}
	w.wirer.fault = nil
	card.refuse = errors.New("operation not supported by this card")
	p := w.pod()
	_, err := w.wirer.Wire(context.Background(), p.Path(), []Attachment{w.attach(p, "net1", w.spec("sriov", everything))})
	if err == nil || !strings.Contains(err.Error(), "not supported by this card") {
		t.Errorf("a card that refuses: %v", err)
	}
	if _, err := w.conn.ByName("vf1"); err != nil {
		t.Errorf("the interface did not come back: %v", err)
	}
	card.refuse = nil
	p = w.pod()
	_, err = w.wirer.Wire(context.Background(), p.Path(), []Attachment{w.attach(p, "net1", w.spec("sriov", `{"deviceID":"0000:09:00.0"}`))})
	if missing, ok := errors.AsType[NoFunction](err); !ok || missing.Fix() == "" {
		t.Errorf("no such function: %v", err)
	}
}

// A device that a program of the Pod drives has no interface: it is accepted, and only the card is told.
func TestUserspaceDevices(t *testing.T) {
	w := newWorld(t)
	card := newFakeCard()
	card.driver = "vfio-pci"
	w.wirer.cards = card
	untouched := card.functions
	p := w.pod()
	wired := w.wire(p,
		w.attach(p, "net1", w.spec("sriov", `{"deviceID":"0000:03:02.2","vlan":7}`), "10.5.0.2/24"),
		w.attach(p, "net2", w.spec("host-device", `{"pciBusID":"0000:04:00.0"}`)),
		w.attach(p, "net3", w.spec("macvlan", `{"master":"up1"}`), "192.168.10.1/24"))
	if !wired[0].Userspace || !wired[1].Userspace || wired[2].Userspace || card.functions[2].VLAN != 7 {
		t.Errorf("wired as %+v, the card does %+v", wired, card.functions[2])
	}
	if got := w.links(p); len(got) != 1 {
		t.Errorf("interfaces %v", got)
	}
	w.must(w.wirer.Check(context.Background(), p.Path(), wired))
	card.functions[2].VLAN = 8
	if _, ok := errors.AsType[Mismatch](w.wirer.Check(context.Background(), p.Path(), wired)); !ok {
		t.Error("check does not look at the card")
	}
	w.unwire(p, wired)
	if !reflect.DeepEqual(card.functions, untouched) {
		t.Errorf("the card does %+v, did %+v", card.functions, untouched)
	}
	injected := errors.New("injected")
	w.wirer.fault = func(step string) error {
		if step == "finish" {
			return injected
		}
		return nil
	}
	if _, err := w.wirer.Wire(context.Background(), p.Path(), []Attachment{w.attach(p, "net1", w.spec("sriov", `{"deviceID":"0000:03:02.2","vlan":7}`))}); !errors.Is(err, injected) {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(card.functions, untouched) {
		t.Errorf("after an error the card does %+v, did %+v", card.functions, untouched)
	}
}

// The note that a device carries must fit into its alias (IFALIASZ, 256).
func TestAliasFits(t *testing.T) {
	id := uint16(4094)
	rate := uint32(400_000)
	d := Device{Name: "enp179s0f1v1234", MTU: 65535, MAC: "02:00:5e:10:00:01", Up: true, Function: &Function{PF: "enp179s0f1np123",
		Want: link.FunctionChange{ID: 255, MAC: make(net.HardwareAddr, 6), VLAN: &id, Priority: 7, Service: true, SpoofCheck: flag(false), Trust: flag(false),
			State: "disable", MinRate: &rate, MaxRate: &rate}}}
	alias := d.alias(HostName("c", "net1"))
	if len(alias) >= 256 {
		t.Errorf("%d bytes: %s", len(alias), alias)
	}
	if _, back, ok := takenDevice(link.Link{Alias: alias}); !ok || !reflect.DeepEqual(back, d) {
		t.Errorf("read back as %+v", back)
	}
}
