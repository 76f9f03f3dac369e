package device

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
)

// checkpoint is the part of kubelet's file that says who has which device (pkg/kubelet/cm/devicemanager/checkpoint).
type checkpoint struct {
	Data struct {
		PodDeviceEntries []struct {
			PodUID       string
			ResourceName string
			// DeviceIDs are by NUMA node; a plain list before Kubernetes 1.20.
			DeviceIDs json.RawMessage
		}
	}
}

// fromCheckpoint reads kubelet's file.
func (k Kubelet) fromCheckpoint(pod Pod, resource string) ([]string, error) {
	name := or(k.Checkpoint, Checkpoint)
	content, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: neither %s nor %s is there", ErrNoKubelet, or(k.Socket, Socket), name)
	}
	if err != nil {
		return nil, fmt.Errorf("read kubelet's checkpoint: %w", err)
	}
	ids, err := parseCheckpoint(content, pod.UID, resource)
	if err != nil {
		return nil, fmt.Errorf("read kubelet's checkpoint %s: %w", name, err)
	}
	return ids, nil
}

func parseCheckpoint(content []byte, uid, resource string) ([]string, error) {
	var c checkpoint
	if err := json.Unmarshal(content, &c); err != nil {
		return nil, err
	}
	var ids []string
	for _, e := range c.Data.PodDeviceEntries {
		if e.PodUID != uid || e.ResourceName != resource {
			continue
		}
		var plain []string
		byNode := map[string][]string{}
		if json.Unmarshal(e.DeviceIDs, &plain) != nil {
			if err := json.Unmarshal(e.DeviceIDs, &byNode); err != nil {
				return nil, fmt.Errorf("devices of resource %s: %w", resource, err)
			}
		}
		for _, some := range byNode {
			plain = append(plain, some...)
		}
		ids = append(ids, plain...)
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}
