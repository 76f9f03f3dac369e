package link

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// sysfs is where the kernel shows the devices of interfaces. It shows those of the namespace that it was mounted in.
const sysfs = "/sys/class/net"

var pciAddress = regexp.MustCompile(`^[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$`)

// Device is the PCI address and the driver of an interface's hardware, both "" for a virtual one. A device behind a bus of its own, such as
// virtio's, has the address of the PCI device that the bus is of.
func Device(name string) (pci, driver string) {
	device := filepath.Join(sysfs, name, "device")
	at, err := filepath.EvalSymlinks(device)
	if err != nil {
		return "", ""
	}
	for _, part := range strings.Split(at, "/") {
		if pciAddress.MatchString(part) {
			pci = part
		}
	}
	if to, err := os.Readlink(filepath.Join(device, "driver")); err == nil {
		driver = filepath.Base(to)
	}
	return pci, driver
}
