package chained

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tsunagu-net/tsunagu/attach/kind"
)

// standardKeys are the keys that CNI itself, its capabilities and libcni put into any plugin's configuration.
var standardKeys = []string{
	"cniversion", "cniversions", "name", "type", "capabilities", "args", "ipam", "dns", "runtimeconfig", "prevresult", "ipmasq",
	"cni.dev/valid-attachments", "cni.dev/attachments", "disablecheck", "disablegc", "loglevel", "logfile", "deviceid", "pcibusid",
}

// fields is one configuration, or an object in it, taken apart by keys in lower case: their case does not matter, as in encoding/json.
type fields struct {
	typ, at string
	raw     map[string]json.RawMessage
	seen    []string
	err     error
}

// readFields takes an object apart; at is the key that led to it with a dot, "" for the whole configuration.
func readFields(typ, at string, raw []byte) *fields {
	f := &fields{typ: typ, at: at, raw: map[string]json.RawMessage{}}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil || all == nil && at == "" {
		if err == nil {
			err = errors.New("want an object, have null")
		}
		f.err = kind.BadConfig{Type: typ, Field: strings.TrimSuffix(at, "."), Message: err.Error()}
	}
	for _, key := range slices.Sorted(maps.Keys(all)) {
		low := strings.ToLower(key)
		if _, twice := f.raw[low]; twice {
			f.fail(key, "is written twice, with upper and lower case letters")
		}
		if string(all[key]) != "null" {
			f.raw[low] = all[key]
		}
	}
	return f
}

// fail keeps the first mistake.
func (f *fields) fail(key, format string, args ...any) {
	if f.err == nil {
		f.err = kind.BadConfig{Type: f.typ, Field: f.at + key, Message: fmt.Sprintf(format, args...)}
	}
}

// into decodes a key; it tells whether the key was there and right.
func (f *fields) into(key, want string, to any) bool {
	f.seen = append(f.seen, strings.ToLower(key))
	raw, ok := f.raw[strings.ToLower(key)]
	if !ok {
		return false
	}
	if err := json.Unmarshal(raw, to); err != nil {
		f.fail(key, "want %s, have %s", want, shorten(raw))
		return false
	}
	return true
}

// number decodes a whole number within bounds.
func (f *fields) number(key string, least, most int) (n int, ok bool) {
	if !f.into(key, "a whole number", &n) {
		return 0, false
	}
	if n < least || n > most {
		f.fail(key, "want a number from %d to %d, have %d", least, most, n)
		return 0, false
	}
	return n, true
}

// flag decodes true or false; nil when the key is not there.
func (f *fields) flag(key string) *bool {
	var b bool
	if !f.into(key, "true or false", &b) {
		return nil
	}
	return &b
}

// cniArgs is the object args.cni.
func (f *fields) cniArgs() *fields {
	var args struct {
		CNI json.RawMessage `json:"cni"`
	}
	if raw, ok := f.raw["args"]; ok && json.Unmarshal(raw, &args) == nil && len(args.CNI) > 0 {
		return readFields(f.typ, "args.cni.", args.CNI)
	}
	return &fields{typ: f.typ, at: "args.cni.", raw: map[string]json.RawMessage{}}
}

// end is the first mistake; else the first key that nobody has read is Elsewhere: the plugin may be newer than what is built in.
func (f *fields) end() error {
	if f.err != nil {
		return f.err
	}
	for _, key := range slices.Sorted(maps.Keys(f.raw)) {
		if !slices.Contains(f.seen, key) && !slices.Contains(standardKeys, key) {
			return Elsewhere{f.typ, key, "is not known here"}
		}
	}
	return nil
}

func shorten(raw []byte) string {
	if len(raw) > 40 {
		return string(raw[:37]) + "..."
	}
	return string(raw)
}
