package vip

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tsunagu-net/tsunagu/vip/lease"
)

// keptFile is what a node must remember over its own end: the list of members
// and the floor of epochs. Losing it while others have moved on is what could
// make a node of an old list own alone.
type keptFile struct {
	Version lease.Version `json:"version"`
	Members []lease.ID    `json:"members"`
	Leaving []lease.ID    `json:"leaving,omitempty"`
	Floor   uint64        `json:"floor"`
}

// readKept reads what was kept; known is false if nothing ever was.
func readKept(path string) (k lease.Kept, known bool, err error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return k, false, nil
	}
	if err != nil {
		return k, false, fmt.Errorf("read the list of members: %w", err)
	}
	var f keptFile
	if err := json.Unmarshal(raw, &f); err != nil || len(f.Members) == 0 {
		return k, false, fmt.Errorf("read the list of members %s: it is damaged (%v); restore it from another control-plane node, or remove this node from the list there and delete the file", path, err)
	}
	return lease.Kept{Members: lease.Members{Version: f.Version, In: f.Members, Out: f.Leaving}, Floor: f.Floor}, true, nil
}

// writeKept is done when the disk has it.
func writeKept(path string, k lease.Kept) error {
	raw, err := json.Marshal(keptFile{k.Members.Version, k.Members.In, k.Members.Out, k.Floor})
	if err != nil {
		return fmt.Errorf("write the list of members: %w", err)
	}
	dir := filepath.Dir(path)
	next, err := os.CreateTemp(dir, ".members-*")
	if err != nil {
		return fmt.Errorf("write the list of members: %w", err)
	}
	defer os.Remove(next.Name())
	_, err = next.Write(append(raw, '\n'))
	err = errors.Join(err, next.Sync(), next.Close())
	if err == nil {
		err = os.Rename(next.Name(), path)
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		return fmt.Errorf("write the list of members: %w", err)
	}
	return nil
}

// syncDir makes a renaming last over a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
