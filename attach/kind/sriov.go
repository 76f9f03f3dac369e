package kind

import (
	"fmt"
	"net"

	"github.com/tsunagu-net/tsunagu/kernel/link"
)

// SRIOV is a virtual function of a network card that the Pod takes, with what the card makes of its frames. The options are those of
// sriov-cni.
type SRIOV struct {
	HostDevice
	// Want is what the card is to do, as far as it was asked for.
	Want link.FunctionChange
	// MAC of the configuration; Attachment.MAC comes first.
	MAC net.HardwareAddr
}

func parseSRIOV(f *fields) (Spec, error) {
	s := SRIOV{HostDevice: HostDevice{PCIBusID: f.text("deviceID")}, MAC: f.mac("mac")}
	if id := f.text("pciBusID"); s.PCIBusID == "" {
		s.PCIBusID = id
	}
	runtime := f.object("runtimeConfig")
	if id := runtime.text("deviceID"); id != "" {
		s.PCIBusID = id
	}
	f.adopt("runtimeConfig", runtime)
	switch {
	case s.PCIBusID == "":
		f.fail("deviceID", "VF pci addr is required: the definition needs the annotation k8s.v1.cni.cncf.io/resourceName, and the Pod a request for that resource")
	case !pciAddress.MatchString(s.PCIBusID):
		f.fail("deviceID", "%q is not a PCI address such as 0000:03:02.3", s.PCIBusID)
	}
	s.Want = link.FunctionChange{
		VLAN: f.tag("vlan"), SpoofCheck: f.onOff("spoofchk"), Trust: f.onOff("trust"), State: f.state("link_state"),
		MinRate: f.rate("min_tx_rate"), MaxRate: f.rate("max_tx_rate"), MAC: s.MAC,
	}
	f.vlanTag(&s.Want)
	f.text("logLevel") // the agent has one log
	f.text("logFile")
	if s.MAC == nil {
		s.MAC = argsMAC(f)
	}
	s.ignored = f.warnings()
	return s, f.err
}

// vlanTag reads what belongs to a VLAN and needs one.
func (f *fields) vlanTag(w *link.FunctionChange) {
	var qos *int
	f.into("vlanQoS", "a whole number", &qos)
	proto := f.text("vlanProto")
	none := w.VLAN == nil || *w.VLAN == 0
	switch {
	case qos != nil && (*qos < 0 || *qos > 7):
		f.fail("vlanQoS", "vlan QoS PCP %d invalid: value must be in the range 0-7", *qos)
	case qos != nil && (w.VLAN == nil || *qos != 0 && none):
		f.fail("vlanQoS", "non-zero vlan id must be configured to set vlan QoS to a non-zero value")
	case proto != "" && w.VLAN == nil:
		f.fail("vlanProto", "vlan id must be configured to set vlan proto to a non-nil value")
	case qos != nil:
		w.Priority = uint8(*qos)
	}
	switch proto {
	case "", "802.1q", "802.1Q":
	case "802.1ad", "802.1AD":
		if none {
			f.fail("vlanProto", "non-zero vlan id must be configured to set vlan proto 802.1ad")
		}
		w.Service = true
	default:
		f.fail("vlanProto", "vlan Proto %s invalid: value must be '802.1Q' or '802.1ad'", proto)
	}
	switch {
	case w.MinRate == nil && w.MaxRate == nil:
		return
	case w.MinRate == nil:
		w.MinRate = new(uint32)
	case w.MaxRate == nil:
		w.MaxRate = new(uint32)
	}
	if *w.MaxRate != 0 && *w.MinRate > *w.MaxRate {
		f.fail("min_tx_rate", "%d is more than max_tx_rate %d", *w.MinRate, *w.MaxRate)
	}
}

func (f *fields) onOff(key string) *bool {
	on := map[string]bool{"on": true, "off": false}
	text := f.text(key)
	if text == "" {
		return nil
	}
	value, ok := on[text]
	if !ok {
		f.fail(key, "want on or off, have %q", text)
	}
	return &value
}

func (f *fields) state(key string) string {
	if s := f.text(key); s != "auto" && s != "enable" && s != "disable" && s != "" {
		f.fail(key, "invalid link_state value: %s, want auto, enable or disable", s)
	} else {
		return s
	}
	return ""
}

// rate reads Mbit/s.
func (f *fields) rate(key string) *uint32 {
	var n *uint32
	f.into(key, "a rate in Mbit/s", &n)
	return n
}

// Type is "sriov", as of sriov-cni.
func (SRIOV) Type() string { return "sriov" }

func (s SRIOV) link() (net.HardwareAddr, int) { return s.MAC, 0 }

func (s SRIOV) prepare(t *transaction, j *job) error {
	pf, id, err := t.cards.FunctionOf(s.PCIBusID)
	if link.Missing(err) {
		return NoFunction{PCI: s.PCIBusID, Err: err}
	}
	if err != nil {
		return err
	}
	want := s.Want
	want.ID = id
	if j.asked {
		want.MAC = j.mac
	}
	j.function = &Function{PF: pf, Want: want}
	return s.HostDevice.prepare(t, j)
}

func (s SRIOV) record(j *job, w *Wired) {
	s.HostDevice.record(j, w)
	w.Function = j.function
}

// Function is a virtual function of a card and what it is told.
type Function struct {
	PF   string              `json:"pf"`
	Want link.FunctionChange `json:"w"`
}

// NoFunction tells that a PCI device is no virtual function of a card of this node.
type NoFunction struct {
	PCI string
	Err error
}

func (e NoFunction) Error() string {
	return fmt.Sprintf("sriov: PCI device %s is no virtual function of a network card of this node: %v", e.PCI, e.Err)
}
func (e NoFunction) Unwrap() error  { return e.Err }
func (e NoFunction) Reason() string { return "NoUplink" }
func (e NoFunction) Fix() string {
	return `make virtual functions on the node (sriov_numvfs), or use type "host-device" for a whole device`
}
