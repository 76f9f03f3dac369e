package attach

import (
	"strconv"
	"strings"

	"github.com/tsunagu-net/tsunagu/api/v1alpha1"
	"github.com/tsunagu-net/tsunagu/attach/shimrpc"
)

// ReasonNoCard is that the node was not given a network card for a Network of a port group, or is about to lose it, or does not see it.
const ReasonNoCard = "NoCard"

// Cards finds the interface of the node that is the card it was given for a Network. The error says why there is none.
type Cards func(network string) (device string, err error)

// put writes the interface into a definition that stands on a card: its name differs from node to node.
func (c Cards) put(d *Definition) error {
	mark := strconv.Quote(v1alpha1.CardPrefix + d.Network)
	if d.Network == "" || c == nil || !strings.Contains(d.Config, mark) {
		return nil
	}
	device, err := c(d.Network)
	if err != nil {
		r := refusef(ReasonNoCard, "none needed if the Pod was put on this node by name; else let the scheduler choose: it knows which nodes have the network", "network %s: %v", d.Network, err)
		r.Code = shimrpc.CodeTryAgainLater
		return r
	}
	d.Config = strings.ReplaceAll(d.Config, mark, strconv.Quote(device))
	return nil
}
