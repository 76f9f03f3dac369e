package vsphere

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/types"
)

// Detach takes a card away that Attach gave. One that is gone, or that is another's by now, is success and stays as it is: a card is ours
// while its key, its MAC and its owner are what they were; of a NIC without an owner, on segments of NSX, the caller remembers the MAC. A
// machine that is gone has no cards.
func (c *Center) Detach(ctx context.Context, machine string, n NIC) error {
	if n.Owner != "" && !strings.HasPrefix(n.Owner, Tag) {
		return &Refusal{Reason: Refused, Message: fmt.Sprintf("card %s is %s's", n.MAC, n.Owner), Fix: "only cards that tsunagu added are removed"}
	}
	return c.do(ctx, "remove network card "+n.MAC.String(), func(ctx context.Context, client *vim25.Client) error {
		ref := types.ManagedObjectReference{Type: "VirtualMachine", Value: machine}
		m, err := readMachine(ctx, client, ref)
		if gone(err) {
			return nil
		}
		if err != nil {
			return err
		}
		if !m.has(n) {
			return nil
		}
		devices, err := object.NewVirtualMachine(client, ref).Device(ctx)
		if err != nil {
			return err
		}
		device := devices.FindByKey(n.Key)
		if device == nil {
			return nil
		}
		return reconfigure(ctx, client, ref, m.Version, &types.VirtualDeviceConfigSpec{Operation: types.VirtualDeviceConfigSpecOperationRemove, Device: device})
	})
}

func (m Machine) has(n NIC) bool {
	for _, o := range m.NICs {
		if o.Key == n.Key && (o.Owner == n.Owner || n.Owner == "") && bytes.Equal(o.MAC, n.MAC) {
			return true
		}
	}
	return false
}
