package attach

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tsunagu-net/tsunagu/attach/device"
	"github.com/tsunagu-net/tsunagu/attach/kind"
)

// given is what a kubelet of a test has given to Pods, by UID and resource.
type given map[string][]string

func (g given) Devices(_ context.Context, pod device.Pod, resource string) ([]string, error) {
	ids, ok := g[pod.UID+" "+resource]
	if !ok && g[""] != nil {
		return nil, errors.New("kubelet is not there")
	}
	return ids, nil
}

func (g given) Info(resource, id string) (json.RawMessage, error) {
	if id == "0000:03:02.9" {
		return nil, errors.New("broken")
	}
	return json.RawMessage(fmt.Sprintf(`{"type":"pci","version":"1.1.0","pci":{"pci-address":%q}}`, id)), nil
}

// Each network of a resource gets a device of its own, in order, and a Pod that has asked for too few is told.
func TestDevicesAreHandedOut(t *testing.T) {
	vf := Definition{Namespace: "d", Name: "vf", Resource: "intel.com/vf", Config: `{"type":"sriov","vlan":100}`}
	whole := Definition{Namespace: "d", Name: "nic", Resource: "intel.com/nic", Config: `{"plugins":[{"type":"host-device"}]}`}
	flat := Definition{Namespace: "d", Name: "flat", Resource: "rdma/hca", Config: `{"type":"macvlan","master":"up1"}`}
	h := handout{given{"u1 intel.com/vf": {"0000:03:02.1", "0000:03:02.2"}, "u1 intel.com/nic": {"0000:04:00.0"}, "u1 rdma/hca": {"hca7"}}, Pod{Namespace: "n", Name: "p", UID: "u1"}, map[string]int{}}
	var got []string
	for _, d := range []Definition{vf, whole, vf, flat} {
		if err := h.give(context.Background(), &d); err != nil {
			t.Fatal(err)
		}
		n, err := parseDefinition(d, Selection{DeviceID: d.Device}.pluginKeys())
		if err != nil {
			t.Fatal(err)
		}
		switch s := n.Spec.(type) {
		case kind.SRIOV:
			got = append(got, "sriov "+s.PCIBusID)
		case kind.HostDevice:
			got = append(got, "host-device "+s.PCIBusID)
		case kind.Macvlan:
			got = append(got, fmt.Sprint("macvlan ", s.Warnings()))
		}
	}
	if want := "sriov 0000:03:02.1, host-device 0000:04:00.0, sriov 0000:03:02.2, macvlan []"; strings.Join(got, ", ") != want {
		t.Errorf("handed out %v, want %s", got, want)
	}
	err := h.give(context.Background(), &vf)
	var r *Refusal
	if !errors.As(err, &r) || r.Reason != ReasonNoDevice || !strings.Contains(r.Fix, "request 3 of intel.com/vf") || !strings.Contains(r.Message, "the Pod has 2") {
		t.Errorf("a third one: %v", err)
	}
	h.devices = given{"": {}}
	if err := h.give(context.Background(), &whole); err == nil || !strings.Contains(err.Error(), "kubelet is not there") {
		t.Errorf("no kubelet: %v", err)
	}
	// Who only looks at a definition reads it with any device.
	if _, err := ParseDefinition(vf); err != nil {
		t.Error(err)
	}
	h.devices = nil
	if err := h.give(context.Background(), &vf); err != nil || vf.Device != someDevice {
		t.Errorf("%v, %s", err, vf.Device)
	}
}

func TestDeviceInfoInTheStatus(t *testing.T) {
	text, err := statusOf(Record{Network: "tsunagu", Interfaces: []kind.Wired{{IfName: "eth0"}, {IfName: "net1", Network: "d/vf"}},
		DeviceInfo: map[string]json.RawMessage{"net1": json.RawMessage(`{"type":"pci","version":"1.1.0","pci":{"pci-address":"0000:03:02.1"}}`)}})
	if err != nil {
		t.Fatal(err)
	}
	var entries []struct {
		Interface string          `json:"interface"`
		Info      json.RawMessage `json:"device-info"`
	}
	if err := json.Unmarshal([]byte(text), &entries); err != nil {
		t.Fatal(err)
	}
	if entries[0].Info != nil || !strings.Contains(string(entries[1].Info), "0000:03:02.1") {
		t.Errorf("status is %s", text)
	}
}
