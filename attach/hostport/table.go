package hostport

import (
	"context"
	"log/slog"

	"github.com/tsunagu-net/tsunagu/kernel/nft"
)

// Table knows what every sandbox on the node has. It is safe for concurrent use.
type Table struct {
	nft *nft.Table
	log *slog.Logger
}

// New makes an empty table. What an earlier process left in the kernel stays until Sync.
func New(table *nft.Table, log *slog.Logger) *Table { return &Table{nft: table, log: log} }

// Set makes a sandbox have exactly this, whatever it had before. The error is a Conflict when another one holds a port.
func (t *Table) Set(ctx context.Context, s Sandbox) error { return nil }

// Delete takes all from a sandbox. One that has nothing is fine.
func (t *Table) Delete(ctx context.Context, id string) error { return nil }

// Sync makes the table hold exactly these sandboxes, and is called once after a start with all that exist. When two of them claim one
// port the first in the list has it; the others are in the error, joined, and everything else is done.
func (t *Table) Sync(ctx context.Context, all []Sandbox) error { return nil }
