package shimrpc

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestFramesCarryWhatTheyWereGiven(t *testing.T) {
	want := Request{Command: "ADD", ContainerID: "c1", NetNS: "/run/netns/x", IfName: "eth0", Args: "A=b;C=d", Path: "/opt", Config: []byte("{}"), Started: 42}
	var buf bytes.Buffer
	if err := want.Write(&buf); err != nil {
		t.Fatal(err)
	}
	got, err := ReadRequest(&buf)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	for _, r := range []Response{{Output: []byte("{}")}, {Output: []byte("no"), Failed: true}} {
		if err := r.Write(&buf); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadResponse(&buf); err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("got %+v, %v; want %+v", got, err, r)
		}
	}
}

func TestLaterFieldsArePassedOver(t *testing.T) {
	var buf bytes.Buffer
	if err := writeFrame(&buf, []byte("ok"), []byte("out"), []byte("of a later version")); err != nil {
		t.Fatal(err)
	}
	if r, err := ReadResponse(&buf); err != nil || string(r.Output) != "out" {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestConfig(t *testing.T) {
	for _, c := range []struct {
		raw  string
		want Config
		bad  bool
	}{
		{raw: `{}`, want: Config{Socket: Socket, Retry: 8 * time.Second, Timeout: 90 * time.Second}},
		{raw: ` { "plugins":[{"cniVersion":"9"},"}"], "name":"a\"}", "cniVersion" : "1.0.0","socket":"/x","retrySeconds":0.5,"timeoutSeconds":3} `,
			want: Config{Version: "1.0.0", Socket: "/x", Retry: 500 * time.Millisecond, Timeout: 3 * time.Second}},
		{raw: `{"retrySeconds":100,"timeoutSeconds":3}`, want: Config{Socket: Socket, Retry: 3 * time.Second, Timeout: 3 * time.Second}},
		{raw: `{"retrySeconds":"x"}`, bad: true},
		{raw: `{"retrySeconds":-1}`, bad: true},
		{raw: ``, bad: true},
		{raw: `[]`, bad: true},
		{raw: `{"a":`, bad: true},
		{raw: `{"a" 1}`, bad: true},
		{raw: `{"a":1 "b":2}`, bad: true},
	} {
		got, err := ParseConfig([]byte(c.raw))
		if c.bad != (err != nil) || !c.bad && got != c.want {
			t.Errorf("%s: got %+v, %v; want %+v", c.raw, got, err, c.want)
		}
	}
}

// What encoding/json can read, the scanner reads alike; whatever it is given, it ends.
func FuzzConfig(f *testing.F) {
	for _, s := range []string{`{"cniVersion":"1.0.0","socket":"/a"}`, `{"a":{"b":[1,"]"]},"cniVersion":"x"}`, `{"a":"\\\"","socket":"y"}`, `{"a":tru`, `{"":-1e9}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := ParseConfig(raw)
		if err == nil && (got.Socket == "" || got.Retry < 0 || got.Retry > got.Timeout || got.Timeout > time.Hour) {
			t.Errorf("%q: %+v", raw, got)
		}
		var want struct {
			Version string          `json:"cniVersion"`
			Retry   json.RawMessage `json:"retrySeconds"`
			Timeout json.RawMessage `json:"timeoutSeconds"`
		}
		var members map[string]json.RawMessage
		if json.Unmarshal(raw, &members) != nil || members == nil || json.Unmarshal(raw, &want) != nil || want.Retry != nil || want.Timeout != nil {
			return
		}
		if bytes.ContainsRune(raw, '\\') || strings.Count(strings.ToLower(string(raw)), "cniversion") > 1 || members["cniVersion"] == nil || string(members["cniVersion"]) == "null" {
			return
		}
		if err != nil || got.Version != want.Version && strings.ToValidUTF8(got.Version, "\ufffd") != want.Version {
			t.Errorf("%q: got %q, %v; encoding/json reads %q", raw, got.Version, err, want.Version)
		}
	})
}

func FuzzFrame(f *testing.F) {
	var buf bytes.Buffer
	_ = Request{Command: "ADD", Config: []byte("{}")}.Write(&buf)
	f.Add(buf.Bytes())
	f.Add([]byte("TSU1\xff\xff\xff\x00"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		q, err := ReadRequest(bytes.NewReader(raw))
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := q.Write(&again); err != nil {
			t.Fatal(err)
		}
		if r, err := ReadRequest(&again); err != nil || r.Command != q.Command || !bytes.Equal(r.Config, q.Config) {
			t.Errorf("%q does not come back: %+v, %v", raw, r, err)
		}
	})
}

func TestErrorsAreJSON(t *testing.T) {
	e := &Error{Code: 7, Msg: "a \"quoted\"\n\x01 \xff name", Details: "多"}
	var got struct {
		CNIVersion, Msg, Details string
		Code                     int
	}
	if err := json.Unmarshal(e.JSON("0.4.0"), &got); err != nil {
		t.Fatal(err)
	}
	if got.CNIVersion != "0.4.0" || got.Code != 7 || got.Msg != "a \"quoted\"\n\x01 \ufffd name" || got.Details != "多" {
		t.Errorf("got %+v", got)
	}
	if err := json.Unmarshal(VersionJSON("nonsense"), &got); err != nil || got.CNIVersion != "1.1.0" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestEnvironment(t *testing.T) {
	ok := Request{ContainerID: "abc-1_2.x", NetNS: "/n", IfName: "eth0"}
	for _, c := range []struct {
		command string
		change  func(*Request)
		says    string
	}{
		{"ADD", func(*Request) {}, ""},
		{"DEL", func(r *Request) { r.NetNS = "" }, ""},
		{"VERSION", func(r *Request) { *r = Request{Command: "VERSION"} }, ""},
		{"STATUS", func(r *Request) { *r = Request{Command: "STATUS"} }, ""},
		{"GC", func(r *Request) { *r = Request{Command: "GC"} }, ""},
		{"ADD", func(r *Request) { r.NetNS = "" }, "CNI_NETNS"},
		{"CHECK", func(r *Request) { r.NetNS = "" }, "CNI_NETNS"},
		{"DEL", func(r *Request) { r.ContainerID = "" }, "CNI_CONTAINERID"},
		{"DEL", func(r *Request) { r.IfName = "" }, "CNI_IFNAME"},
		{"ADD", func(r *Request) { r.ContainerID = "../x" }, "CNI_CONTAINERID"},
		{"ADD", func(r *Request) { r.IfName = "a/b" }, "CNI_IFNAME"},
		{"ADD", func(r *Request) { r.IfName = "0123456789abcdef" }, "CNI_IFNAME"},
		{"PLUGIN", func(*Request) {}, "unknown CNI_COMMAND"},
		{"", func(*Request) {}, "CNI_COMMAND"},
	} {
		r := ok
		r.Command = c.command
		c.change(&r)
		e := r.Environment()
		if (e == nil) != (c.says == "") || e != nil && (e.Code != CodeBadEnvironment || !strings.Contains(e.Msg, c.says)) {
			t.Errorf("%s %+v: got %v, want %q", c.command, r, e, c.says)
		}
	}
}
