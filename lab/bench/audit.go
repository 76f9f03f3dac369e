package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Requests counts the agent's requests to the API server by "verb resource", such as "patch pods/status". A refused one has its code
// behind it.
type Requests map[string]int

// auditMark is a place in the audit log.
type auditMark int64

func markAudit() auditMark {
	st, err := os.Stat(auditLog)
	if err != nil {
		return 0
	}
	return auditMark(st.Size())
}

// since counts what was requested after the mark.
func (m auditMark) since() (Requests, error) {
	return m.sinceOf(func(string) bool { return true })
}

// sinceOf counts what was requested by some user agents.
func (m auditMark) sinceOf(agent func(string) bool) (Requests, error) {
	b, err := os.ReadFile(auditLog)
	if err != nil {
		return nil, fmt.Errorf("counting API requests: %w", err)
	}
	return readAudit(b[min(int(m), len(b)):], agent)
}

func readAudit(lines []byte, agent func(string) bool) (Requests, error) {
	r := Requests{}
	for line := range bytes.Lines(lines) {
		var e struct {
			Stage     string
			Verb      string
			ObjectRef struct{ Resource, Subresource string }
			Status    struct{ Code int } `json:"responseStatus"`
			URI       string             `json:"requestURI"`
			Agent     string             `json:"userAgent"`
		}
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("reading the audit log: %w", err)
		}
		if !agent(e.Agent) {
			continue
		}
		what := e.ObjectRef.Resource
		if e.ObjectRef.Subresource != "" {
			what += "/" + e.ObjectRef.Subresource
		}
		if what == "" {
			what, _, _ = strings.Cut(e.URI, "?")
		}
		// A watch is counted by its beginning, everything else by its end.
		if (e.Verb == "watch") != (e.Stage == "ResponseStarted") {
			continue
		}
		key := e.Verb + " " + what
		if e.Status.Code >= 400 {
			key += fmt.Sprintf(" → %d", e.Status.Code)
		}
		r[key]++
	}
	return r, nil
}

// writes is the number of requests that change something, without those of the keys.
func (r Requests) writes(without ...string) int {
	n := 0
	for key, count := range r {
		verb, _, _ := strings.Cut(key, " ")
		if !slices.Contains([]string{"get", "list", "watch"}, verb) && !slices.Contains(without, key) {
			n += count
		}
	}
	return n
}

// String lists them, the most frequent first.
func (r Requests) String() string {
	if len(r) == 0 {
		return "none"
	}
	keys := make([]string, 0, len(r))
	for k := range r {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b string) int {
		if r[a] != r[b] {
			return r[b] - r[a]
		}
		return strings.Compare(a, b)
	})
	for i, k := range keys {
		keys[i] = fmt.Sprintf("%d × %s", r[k], k)
	}
	return strings.Join(keys, ", ")
}
