package kind

import (
	"context"
	"log/slog"
)

// Wirer wires the interfaces of Pods on one node. It is safe for use by many goroutines; operations on one sandbox must not overlap,
// which CNI promises and the caller's lock per sandbox keeps.
type Wirer struct {
	log *slog.Logger
}

// New prepares to wire the Pods of the node whose network namespace is at hostNS; "" is the one the process runs in.
func New(hostNS string, log *slog.Logger) (*Wirer, error) { return &Wirer{log: log}, nil }

// Close gives the netlink socket back. Interfaces stay.
func (w *Wirer) Close() error { return nil }

// Wire makes all interfaces of a sandbox, or none: after an error everything it did is undone. lo is set up always. Interfaces that
// exist already exactly as asked stay untouched, leftovers of an earlier attempt with the same key are replaced. Results are in the
// order of the attachments. Errors that the user can mend are Refusals.
func (w *Wirer) Wire(ctx context.Context, nsPath string, attachments []Attachment) ([]Wired, error) {
	panic("not yet")
}

// Unwire removes all interfaces of a sandbox that were made by us, also ones no record speaks of, and what the records say was made
// on the node. A missing namespace or missing interfaces are success. An error means that something is left, and that trying again
// may help.
func (w *Wirer) Unwire(ctx context.Context, nsPath string, records []Record) error { panic("not yet") }

// Check compares the interfaces of a sandbox with their records; the first difference is returned as Mismatch.
func (w *Wirer) Check(ctx context.Context, nsPath string, records []Record) error { panic("not yet") }

// Orphan is something of ours on the node that no record owns.
type Orphan struct {
	// Device is the name of the link, Kind is "veth", "bridge" or "host-device".
	Device, Kind string
}

// Orphans lists our links on the node that none of the records owns. Call it only with the complete set of records.
func (w *Wirer) Orphans(ctx context.Context, owned []Record) ([]Orphan, error) { panic("not yet") }

// Remove deletes orphans, or gives devices that came back from a Pod their old name. What is gone already is success.
func (w *Wirer) Remove(ctx context.Context, orphans []Orphan) error { panic("not yet") }
