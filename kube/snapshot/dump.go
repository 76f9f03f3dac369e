package snapshot

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// FromDump reads a Snapshot out of a file instead of a cluster: what `kubectl
// get -A -o yaml` or `-o json` wrote, documents and lists of any kinds one after
// the other, also of several files. Kinds that are not part of a snapshot are passed over; a part that
// the file does not have is in Unread. The time is that of the reading.
func FromDump(raw []byte) (*Snapshot, error) {
	s := &Snapshot{Time: time.Now(), Unread: map[string]string{}}
	d := dump{lists: s.lists(), seen: map[string]bool{}}
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(raw)))
	for n := 1; ; n++ {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", n, err)
		}
		if err := d.document(document); err != nil {
			return nil, fmt.Errorf("document %d: %w", n, err)
		}
	}
	if d.objects == 0 && len(d.seen) == 0 {
		return nil, errors.New("there is no Kubernetes object in it")
	}
	d.unread(s)
	return s, nil
}

// unread notes which parts are not there.
func (d *dump) unread(s *Snapshot) {
	for resource, l := range d.lists {
		if !d.seen[resource] && !l.live {
			s.Unread[resource] = "not in the file"
		}
	}
}

// dump is one FromDump.
type dump struct {
	lists   map[string]list
	seen    map[string]bool
	objects int
}

// head is what tells what an object is.
type head struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Items      []json.RawMessage `json:"items"`
}

// document reads one YAML document, or the JSON values that stand in its place.
func (d *dump) document(raw []byte) error {
	raw = bytes.TrimSpace(raw)
	if !bytes.HasPrefix(raw, []byte("{")) {
		text, err := yaml.YAMLToJSON(raw)
		if err != nil {
			return err
		}
		return d.value(text, head{})
	}
	values := json.NewDecoder(bytes.NewReader(raw))
	for {
		var value json.RawMessage
		err := values.Decode(&value)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := d.value(value, head{}); err != nil {
			return err
		}
	}
}

// value reads an object or a list; of is what the list says of its items, which
// need not say it themselves.
func (d *dump) value(raw json.RawMessage, of head) error {
	if text := bytes.TrimSpace(raw); len(text) == 0 || string(text) == "null" {
		return nil // an empty document
	}
	var h head
	if err := json.Unmarshal(raw, &h); err != nil {
		return fmt.Errorf("no Kubernetes object: %w", err)
	}
	if h.Kind == "" {
		h.APIVersion, h.Kind = of.APIVersion, of.Kind
	}
	if kind, ok := strings.CutSuffix(h.Kind, "List"); ok {
		inner := head{APIVersion: h.APIVersion, Kind: kind}
		d.note(inner)
		for i, item := range h.Items {
			if err := d.value(item, inner); err != nil {
				return fmt.Errorf("item %d: %w", i+1, err)
			}
		}
		return nil
	}
	if h.Kind == "" {
		return errors.New("an object without kind: is it what kubectl get -o yaml wrote?")
	}
	d.objects++
	resource := d.note(h)
	if resource == "" {
		return nil
	}
	if err := d.lists[resource].add(raw); err != nil {
		return fmt.Errorf("read a %s: %w", h.Kind, err)
	}
	return nil
}

// note notes that the file has a part, "" if it is none.
func (d *dump) note(h head) string {
	group, _, ok := strings.Cut(h.APIVersion, "/")
	if !ok {
		group = ""
	}
	for resource, l := range d.lists {
		if !l.live && (l.kind == h.Kind || l.suffix && strings.HasSuffix(h.Kind, l.kind)) && l.group() == group {
			d.seen[resource] = true
			return resource
		}
	}
	return ""
}

// group is the API group of a list, "" for the core's.
func (l list) group() string {
	parts := strings.Split(strings.Trim(l.path, "/"), "/")
	if parts[0] == "api" {
		return ""
	}
	return parts[1]
}
