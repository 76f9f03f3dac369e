package delegate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// deviceDir is where plugins write what a device is (Network Plumbing WG device information specification 1.1.0 section 4).
const deviceDir = "/var/run/k8s.cni.cncf.io/devinfo/cni"

// mostDevice bounds a file of device information.
const mostDevice = 64 << 10

// DeviceFile is where a plugin that declares CNIDeviceInfoFile tells of the device of an interface.
func DeviceFile(network, containerID, ifName string) string {
	return filepath.Join(deviceDir, network+"-"+containerID+"_"+ifName)
}

// Device reads what a plugin told of a device; nil for nothing.
func (r *Runner) Device(path string) (json.RawMessage, error) {
	f, err := os.Open(filepath.Join(r.Root, path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, mostDevice))
	if err != nil {
		return nil, err
	}
	return ReadDevice(text)
}

// ReadDevice reads device information: an object with a type. What more is in it is for the Pod.
func ReadDevice(text []byte) (json.RawMessage, error) {
	var head struct{ Type, Version string }
	if err := json.Unmarshal(text, &head); err != nil {
		return nil, fmt.Errorf("read device information: %w", err)
	}
	if head.Type == "" {
		return nil, errors.New(`read device information: it has no "type"`)
	}
	var out bytes.Buffer
	if err := json.Compact(&out, text); err != nil {
		return nil, fmt.Errorf("read device information: %w", err)
	}
	return out.Bytes(), nil
}

// ForgetDevice removes a file of device information; one that is gone is fine.
func (r *Runner) ForgetDevice(path string) error {
	if err := os.Remove(filepath.Join(r.Root, path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
