package kind

import (
	"net"
	"regexp"
	"strings"
)

// HostDevice is a device of the node that the Pod takes as it is. Exactly one field is set.
type HostDevice struct {
	plain
	// Device is the interface name on the node.
	Device string
	// HWAddr is the interface's hardware address.
	HWAddr net.HardwareAddr
	// KernelPath is a path below /sys/devices that holds the interface.
	KernelPath string
	// PCIBusID is the address of the PCI device that has the interface, as 0000:00:1f.6,
	// or the name of one on the auxiliary bus.
	PCIBusID string
}

var pciAddress = regexp.MustCompile(`^[0-9a-fA-F]{4}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]$`)

// auxiliaryDevice is the name of a device on the auxiliary bus, such as mlx5_core.sf.4.
var auxiliaryDevice = regexp.MustCompile(`^[0-9A-Za-z_]+\.[0-9A-Za-z_]+\.[0-9]+$`)

func parseHostDevice(f *fields) (Spec, error) {
	s := HostDevice{
		Device:     f.device("device"),
		HWAddr:     f.mac("hwaddr"),
		KernelPath: f.text("kernelpath"),
		PCIBusID:   f.text("pciBusID"),
	}
	if s.PCIBusID == "" {
		s.PCIBusID = f.text("deviceID")
	}
	runtime := f.object("runtimeConfig")
	if id := runtime.text("deviceID"); id != "" {
		s.PCIBusID = id // a device plugin's choice comes first, as in the reference plugin
	}
	f.adopt("runtimeConfig", runtime)
	given := 0
	for _, set := range []bool{s.Device != "", s.HWAddr != nil, s.KernelPath != "", s.PCIBusID != ""} {
		if set {
			given++
		}
	}
	if given != 1 {
		f.fail("", `specify either "device", "hwaddr", "kernelpath" or "pciBusID"`)
	}
	if s.PCIBusID != "" && !pciAddress.MatchString(s.PCIBusID) && !auxiliaryDevice.MatchString(s.PCIBusID) {
		f.fail("pciBusID", "%q is not a PCI address such as 0000:00:1f.6", s.PCIBusID)
	}
	if s.KernelPath != "" && (!strings.HasPrefix(s.KernelPath, "/sys/devices/") || strings.Contains(s.KernelPath, "..")) {
		f.fail("kernelpath", "%q is not below /sys/devices", s.KernelPath)
	}
	s.ignored = f.warnings()
	return s, f.err
}

// Segment is the device.
func (s HostDevice) Segment() string {
	return "host-device/" + s.Device + s.PCIBusID + s.KernelPath + s.HWAddr.String()
}

func (HostDevice) leaves(*job) bool { return true }
func (HostDevice) keepsMAC() bool   { return true }

// Type is "host-device".
func (HostDevice) Type() string { return "host-device" }
