package kind

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
)

// standardKeys are the keys that CNI itself, its capabilities and libcni put into any plugin's configuration.
var standardKeys = []string{
	"cniversion", "cniversions", "name", "type", "capabilities", "args", "ipam", "dns", "runtimeconfig", "prevresult",
	"cni.dev/valid-attachments", "cni.dev/attachments", "disablecheck", "disablegc", "loglevel", "logfile", "deviceid", "pcibusid",
}

// fields reads one plugin configuration key by key. The first error is kept, so that a parser can read on and ask once.
type fields struct {
	typ  string
	raw  map[string]json.RawMessage
	seen []string
	err  error
}

func readFields(typ string, raw []byte) (*fields, error) {
	f := &fields{typ: typ}
	if err := json.Unmarshal(raw, &f.raw); err != nil {
		return nil, BadConfig{Type: typ, Message: jsonProblem(raw, err)}
	}
	if f.raw == nil {
		return nil, BadConfig{Type: typ, Message: "want an object, have null"}
	}
	return f, nil
}

// jsonProblem tells where in the text the JSON breaks.
func jsonProblem(raw []byte, err error) string {
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		at := min(int(syntax.Offset), len(raw))
		line := 1 + bytes.Count(raw[:at], []byte("\n"))
		column := at - bytes.LastIndexByte(raw[:at], '\n') - 1
		return fmt.Sprintf("not JSON at line %d column %d: %v", line, max(column, 1), err)
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return "want an object, have " + wrong.Value
	}
	return err.Error()
}

// take returns the value of a key, without regard to case as encoding/json does; nil when absent or null. Two keys that differ in case
// only are refused: which of them counts would be chance.
func (f *fields) take(key string) json.RawMessage {
	f.seen = append(f.seen, strings.ToLower(key))
	var value json.RawMessage
	spellings := 0
	for k, v := range f.raw {
		if strings.EqualFold(k, key) {
			value = v
			spellings++
		}
	}
	if spellings > 1 {
		f.fail(key, "is written twice, with upper and lower case letters")
	}
	if string(value) == "null" {
		return nil
	}
	return value
}

func (f *fields) fail(key, format string, args ...any) {
	if f.err == nil {
		f.err = BadConfig{Type: f.typ, Field: key, Message: fmt.Sprintf(format, args...)}
	}
}

// into decodes a key; it tells whether the key was there and right.
func (f *fields) into(key, want string, to any) bool {
	raw := f.take(key)
	if raw == nil {
		return false
	}
	if err := json.Unmarshal(raw, to); err != nil {
		f.fail(key, "want %s, have %s", want, shorten(raw))
		return false
	}
	return true
}

func shorten(raw []byte) string {
	if len(raw) > 40 {
		return string(raw[:37]) + "..."
	}
	return string(raw)
}

func (f *fields) text(key string) (s string) {
	f.into(key, "a text", &s)
	return s
}

func (f *fields) flag(key string) (b bool) {
	f.into(key, "true or false", &b)
	return b
}

func (f *fields) number(key string, least, most int) (n int) {
	if f.into(key, "a whole number", &n) && (n < least || n > most) {
		f.fail(key, "want a number from %d to %d, have %d", least, most, n)
		return 0
	}
	return n
}

// choice reads a text that must be one of a list; the first of the list stands for an absent one.
func (f *fields) choice(key string, of ...string) string {
	s := f.text(key)
	if s == "" {
		return of[0]
	}
	if !slices.Contains(of, s) {
		f.fail(key, "want one of %s, have %q", strings.TrimPrefix(strings.Join(of, ", "), ", "), s)
	}
	return s
}

// device reads the name of an interface of the node.
func (f *fields) device(key string) string {
	s := f.text(key)
	if s != "" && !ValidName(s) {
		f.fail(key, "%q cannot be the name of an interface: at most 15 bytes without space, '/' or ':'", s)
	}
	return s
}

func (f *fields) mac(key string) net.HardwareAddr {
	s := f.text(key)
	if s == "" {
		return nil
	}
	mac, err := ParseMAC(s)
	if err != nil {
		f.fail(key, "%v", err)
	}
	return mac
}

// mtu reads an MTU in bytes; 0 is the natural one. 68 is the least an IPv4 link can have (RFC 791).
func (f *fields) mtu() int {
	n := f.number("mtu", 0, 65535)
	if n > 0 && n < 68 {
		f.fail("mtu", "want 0 or at least 68, have %d", n)
	}
	return n
}

// refuse records that a known option is set to something that is not built in.
func (f *fields) refuse(key, why string) {
	if f.err == nil {
		f.err = Unsupported{Type: f.typ, Field: key, Message: why}
	}
}

// object descends into an object of the configuration; it is empty when the key is absent.
func (f *fields) object(key string) *fields {
	inner := &fields{typ: f.typ}
	f.into(key, "an object", &inner.raw)
	return inner
}

// adopt takes over the error of an inner object, with the key that led there.
func (f *fields) adopt(key string, inner *fields) {
	if bad, ok := inner.err.(BadConfig); ok && f.err == nil {
		bad.Field = key + "." + bad.Field
		f.err = bad
	}
}

// warnings names the keys nobody read, in order.
func (f *fields) warnings() []string {
	var unknown []string
	for key := range f.raw {
		low := strings.ToLower(key)
		if !slices.Contains(f.seen, low) && !slices.Contains(standardKeys, low) {
			unknown = append(unknown, fmt.Sprintf("%s configuration: key %q is not known and ignored", f.typ, key))
		}
	}
	slices.Sort(unknown)
	return unknown
}
