package link

import (
	"fmt"
	"os"
	"path/filepath"
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
