package attach

import (
	"fmt"
	"strings"
)

// gapKey is the key of a mark in the log of sandboxes: there are sandboxes that it says nothing of, because it was lost while they ran. The
// log that follows is whole for itself, so without the mark the next agent would take their links for nobody's. No container's ID has a space.
const gapKey = "gap since "

// hasGap tells whether an agent before this one found sandboxes without records.
func hasGap(log Log) (gap bool) {
	log.All(func(key string, _ []byte) { gap = gap || strings.HasPrefix(key, gapKey) })
	return gap
}

// keepGap writes the mark, or takes it away when the last of those sandboxes is gone.
func (s *Server) keepGap() error {
	gap := len(s.spared) > 0
	for _, record := range s.records.list() {
		gap = gap || strings.HasPrefix(record.ContainerID, foundMark) && record.State != Gone
	}
	var err error
	if gap {
		err = s.Records.Put(gapKey, []byte("{}"))
	} else if hasGap(s.Records) {
		err = s.Records.Delete(gapKey)
	}
	if err != nil {
		return fmt.Errorf("mark that the log of sandboxes has a gap: %w", err)
	}
	return nil
}
