package link

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// OfPCI is the name of the interface of a PCI device, or of the virtio device behind it. The error is Missing when there is none.
func OfPCI(busID string) (string, error) {
	base := filepath.Join("/sys/bus/pci/devices", busID)
	for _, dir := range []string{"net", "virtio*/net"} {
		if found, _ := filepath.Glob(filepath.Join(base, dir, "*")); len(found) > 0 {
			return filepath.Base(found[0]), nil
		}
	}
	return "", fmt.Errorf("interface of PCI device %s: %w", busID, os.ErrNotExist)
}

// OfPath is the name of the interface at or right below a path of /sys/devices. The error is Missing when there is none.
func OfPath(path string) (string, error) {
	if found, _ := filepath.Glob(filepath.Join(path, "net", "*")); len(found) > 0 {
		return filepath.Base(found[0]), nil
	}
	if _, err := os.Stat(filepath.Join(path, "ifindex")); err == nil {
		return filepath.Base(path), nil
	}
	return "", fmt.Errorf("interface at %s: %w", path, os.ErrNotExist)
}

// FunctionOf finds which virtual function of which physical function a PCI device is. The error is Missing when it is none.
func FunctionOf(busID string) (pf string, id int, err error) {
	base := filepath.Join("/sys/bus/pci/devices", busID)
	physical, err := filepath.EvalSymlinks(filepath.Join(base, "physfn"))
	if err != nil {
		return "", 0, fmt.Errorf("physical function of PCI device %s: %w", busID, os.ErrNotExist)
	}
	self, err := filepath.EvalSymlinks(base)
	if err != nil {
		return "", 0, fmt.Errorf("PCI device %s: %w", busID, err)
	}
	if pf, err = OfPCI(filepath.Base(physical)); err != nil {
		return "", 0, err
	}
	functions, _ := filepath.Glob(filepath.Join(physical, "virtfn*"))
	for _, f := range functions {
		if at, err := filepath.EvalSymlinks(f); err == nil && at == self {
			if _, err := fmt.Sscanf(filepath.Base(f), "virtfn%d", &id); err == nil {
				return pf, id, nil
			}
		}
	}
	return "", 0, fmt.Errorf("number of PCI device %s at %s: %w", busID, pf, os.ErrNotExist)
}

// DriverOf is the driver that a PCI device is bound to; "" for none.
func DriverOf(busID string) string {
	driver, err := filepath.EvalSymlinks(filepath.Join("/sys/bus/pci/devices", busID, "driver"))
	if err != nil {
		return ""
	}
	return filepath.Base(driver)
}

// OfAuxiliary is the name of the interface of a device on the auxiliary bus, such as mlx5_core.sf.4. The error is Missing when there is
// none.
func OfAuxiliary(id string) (string, error) {
	if found, _ := filepath.Glob(filepath.Join("/sys/bus/auxiliary/devices", id, "net", "*")); len(found) > 0 {
		return filepath.Base(found[0]), nil
	}
	return "", fmt.Errorf("interface of auxiliary device %s: %w", id, os.ErrNotExist)
}

// Release is the kernel's version as it calls itself; "" when it does not tell.
func Release() string {
	b, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return strings.TrimSpace(string(b))
}
