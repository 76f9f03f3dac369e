//go:build vm

package wire

import (
	"testing"

	"github.com/tsunagu-net/tsunagu/kernel/link"
)

// The same where the node's Pods are on the VLAN already: its frames go to an 802.1Q interface and a bridge.
func TestVMAskInAVLANThatIsUsed(t *testing.T) {
	askInAVLAN(t, func(c *link.Conn, trunk link.Link) error {
		if err := c.Apply(link.NewBridge(link.End{Name: "tstbr"})); err != nil {
			return err
		}
		br, err := c.ByName("tstbr")
		if err != nil {
			return err
		}
		if err := c.Apply(link.Up("tstbr", br.Index)); err != nil {
			return err
		}
		for _, id := range []uint16{120, 121} {
			name := map[uint16]string{120: "tstv120", 121: "tstv121"}[id]
			if err := c.Apply(link.NewVLAN(link.End{Name: name, Master: br.Index}, trunk.Index, id)); err != nil {
				return err
			}
			l, err := c.ByName(name)
			if err != nil {
				return err
			}
			if err := c.Apply(link.Up(name, l.Index)); err != nil {
				return err
			}
		}
		return nil
	})
}
