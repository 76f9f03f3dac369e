package ipam

import (
	"context"
	"errors"
)

// Store keeps the objects that nodes agree by. Create, Update, Delete, Get and
// List are linearizable: a Get or List sees every write that was answered
// before it began. An error that is none of those below means that it is not
// known whether a write was done.
type Store interface {
	GetRegion(ctx context.Context, name string) (Region, error)
	ListRegions(ctx context.Context, domain string) ([]Region, error)
	CreateRegion(ctx context.Context, r Region) (Region, error)

	GetBlock(ctx context.Context, name string) (Block, error)
	CreateBlock(ctx context.Context, b Block) (Block, error)
	// UpdateBlock writes everything but domain, prefix and owner if the
	// stored Version is b's, else ErrConflict.
	UpdateBlock(ctx context.Context, b Block) (Block, error)
	// DeleteBlock deletes the object of that name if it has that UID, else
	// ErrConflict.
	DeleteBlock(ctx context.Context, name, uid string) error
	ListBlocks(ctx context.Context, s Scope) ([]Block, error)
	// WatchBlocks reports a node's blocks until ctx ends: Reset with all of
	// them (perhaps of a while ago), then each change. It never gives up.
	WatchBlocks(ctx context.Context, nodeUID string, to BlockWatcher)

	GetAddress(ctx context.Context, name string) (Address, error)
	CreateAddress(ctx context.Context, a Address) (Address, error)
	DeleteAddress(ctx context.Context, name, uid string) error
	// UpdateAddress writes everything but domain and address if the stored
	// Version and UID are a's, else ErrConflict.
	UpdateAddress(ctx context.Context, a Address) (Address, error)
	// DropAddress deletes the object if its Version and UID are a's, else
	// ErrConflict: for addresses of claims, which change hands.
	DropAddress(ctx context.Context, a Address) error
	ListAddresses(ctx context.Context, s Scope) ([]Address, error)

	GetClaim(ctx context.Context, namespace, name string) (Claim, error)
	// CreateClaim writes what is wanted. What the claim has is written by
	// UpdateClaim only.
	CreateClaim(ctx context.Context, c Claim) (Claim, error)
	// UpdateClaim writes Has and MAC if the stored Version and UID are c's,
	// else ErrConflict.
	UpdateClaim(ctx context.Context, c Claim) (Claim, error)
	// OwnClaim writes Holder, likewise.
	OwnClaim(ctx context.Context, c Claim) (Claim, error)
}

// Scope selects objects; an empty field selects all.
type Scope struct {
	Domain  string
	Region  string // RegionValue of an address
	NodeUID string
}

// BlockWatcher hears of a node's blocks. Calls come one at a time.
type BlockWatcher interface {
	Reset(all []Block)
	Changed(b Block)
	Gone(b Block)
}

// What a Store answers.
var (
	ErrNotFound = errors.New("no such object")
	ErrExists   = errors.New("object exists")
	ErrConflict = errors.New("object changed meanwhile")
	// ErrForbidden: the API server understands and will not do it.
	ErrForbidden = errors.New("refused by the API server")
)

// Log keeps what must survive a crash of the process, but not a reboot. Put
// returns when the record will be there after a crash.
type Log interface {
	Put(key string, value []byte) error
	Delete(key string) error
	// All visits each record; the order does not matter.
	All(visit func(key string, value []byte))
}
