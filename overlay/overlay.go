package overlay

import (
	"context"
	"log/slog"

	"github.com/tsunagu-net/tsunagu/kernel/nft"
)

// Device is the name of the tunnel device.
const Device = "tsu-vx"

// Overlay keeps one node's part of the pod network.
type Overlay struct {
	cfg  Config
	self string
}

// New prepares the overlay of the node called self. Nothing happens before Run.
func New(cfg Config, self string, log *slog.Logger) (*Overlay, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	return &Overlay{cfg: cfg, self: self}, nil
}

// SetNodes tells all nodes of the cluster, this one included. The list is complete: routes to nodes that are not in it are removed.
// Before the first call nothing is removed. It does not wait.
func (o *Overlay) SetNodes(nodes []Node) {}

// Run keeps the kernel as wanted until the context ends, which is not an error. Everything stays as it is then, so that Pods go on
// while the agent restarts.
func (o *Overlay) Run(ctx context.Context) error { return nil }

// Ready is closed when this node's Pods have been given reach for the first time.
func (o *Overlay) Ready() <-chan struct{} { return nil }

// PodMTU is the MTU for interfaces of Pods, in bytes. It follows the underlay; before the first look at it, it is 1280, which fits
// everywhere.
func (o *Overlay) PodMTU() int { return 0 }

// Table is the node's nft table, for hostport.New.
func (o *Overlay) Table() *nft.Table { return nil }

// Status says how the overlay is.
func (o *Overlay) Status() Status { return Status{} }
