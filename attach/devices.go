package attach

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/tsunagu-net/tsunagu/attach/device"
)

// Devices knows what kubelet has given to the Pods of this node for resources of device plugins.
type Devices interface {
	// Devices lists the devices of a resource that a Pod has, in an order that does not change.
	Devices(ctx context.Context, pod device.Pod, resource string) ([]string, error)
	// Info is what the device plugin says of a device, nil for nothing.
	Info(resource, id string) (json.RawMessage, error)
}

// ReasonNoDevice is the refusal of a Pod that has no device left for a network of a resource.
const ReasonNoDevice = "NoDevice"

// someDevice stands for the device of a definition that is read without a Pod.
const someDevice = "0000:00:00.0"

// handout hands the devices of one Pod to its networks: the first network of a resource gets the first, and so on.
type handout struct {
	devices Devices
	pod     Pod
	used    map[string]int // by resource
}

// give chooses the device of a definition with a resource. Without Devices, as when a Pod is only looked at, it is any.
func (h *handout) give(ctx context.Context, d *Definition) error {
	if d.Resource == "" {
		return nil
	}
	if h.devices == nil {
		d.Device = someDevice
		return nil
	}
	uid := h.pod.UID
	if h.pod.StaticUID != "" {
		uid = h.pod.StaticUID
	}
	ids, err := h.devices.Devices(ctx, device.Pod{Namespace: h.pod.Namespace, Name: h.pod.Name, UID: uid}, d.Resource)
	if err != nil {
		return fmt.Errorf("device for network-attachment-definition %s: %w", d, err)
	}
	if h.used[d.Resource] >= len(ids) {
		return refusef(ReasonNoDevice,
			fmt.Sprintf("request %d of %s in resources.limits of the Pod's containers, one for each network", h.used[d.Resource]+1, d.Resource),
			"network-attachment-definition %s takes a device of resource %s, the Pod has %d and its other networks take %d", d, d.Resource, len(ids), h.used[d.Resource])
	}
	d.Device = ids[h.used[d.Resource]]
	h.used[d.Resource]++
	return nil
}

// deviceInfos are what device plugins say of the devices of a Pod's interfaces. What cannot be read is left out and told: the Pod works
// without.
func (s *Server) deviceInfos(all []planned) map[string]json.RawMessage {
	var infos map[string]json.RawMessage
	for _, one := range all {
		if one.resource == "" || s.Devices == nil {
			continue
		}
		info, err := s.Devices.Info(one.resource, one.sel.DeviceID)
		if err != nil {
			s.Log.Warn("network-status goes without device-info", "network", one.net.Ref, "err", err)
		}
		if info == nil {
			continue
		}
		if infos == nil {
			infos = map[string]json.RawMessage{}
		}
		infos[one.sel.IfName] = info
	}
	return infos
}
