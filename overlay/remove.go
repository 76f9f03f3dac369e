package overlay

import (
	"context"
	"errors"

	"github.com/tsunagu-net/tsunagu/kernel/link"
	"github.com/tsunagu-net/tsunagu/kernel/netns"
	"github.com/tsunagu-net/tsunagu/kernel/nft"
)

// Remove takes device, routes and nft table away, for a node that is to do without tsunagu. An agent that ends leaves them, so that
// Pods go on. Nothing to remove is fine. Sysctls stay as they are: others may rely on them by now.
func Remove(ns *netns.Namespace) error {
	k, err := open(ns)
	if err != nil {
		return err
	}
	defer k.close()
	s, err := k.observe(context.Background(), DefaultPort)
	if err != nil {
		return err
	}
	var failures []error
	for _, r := range s.routes {
		if r.Device == tunnelDevice {
			continue // goes with the device
		}
		failures = append(failures, k.routes.Delete(r))
	}
	if s.deviceFound {
		failures = append(failures, k.links.Apply(link.DeleteIndex(Device, s.device.Index).Forgiving()))
	}
	failures = append(failures, nft.Open(ns, nft.Options{}).Remove())
	return errors.Join(failures...)
}
