package proxy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
)

// readServers reads the list of a former run. A damaged one is no reason not to
// start: it is only a hint.
func readServers(path string) ([]netip.AddrPort, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the list of API servers: %w", err)
	}
	var all []netip.AddrPort
	if json.Unmarshal(raw, &all) != nil {
		return nil, nil
	}
	return slices.DeleteFunc(all, func(s netip.AddrPort) bool { return !s.IsValid() }), nil
}

// writeServers keeps the list, if it is another one.
func writeServers(path string, all []netip.AddrPort) error {
	if was, err := readServers(path); err == nil && slices.Equal(was, all) {
		return nil
	}
	raw, err := json.Marshal(all)
	if err != nil {
		return fmt.Errorf("keep the list of API servers: %w", err)
	}
	next := path + ".next"
	if err = os.MkdirAll(filepath.Dir(path), 0o700); err == nil {
		err = os.WriteFile(next, append(raw, '\n'), 0o600)
	}
	if err == nil {
		err = os.Rename(next, path)
	}
	if err != nil {
		return fmt.Errorf("keep the list of API servers: %w", err)
	}
	return nil
}
