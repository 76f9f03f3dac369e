package delegate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain is a fake plugin when it is executed under the name of one.
func TestMain(m *testing.M) {
	if name, fake := strings.CutPrefix(filepath.Base(os.Args[0]), "tstplug-"); fake {
		os.Exit(fakePlugin(name))
	}
	os.Exit(m.Run())
}

const goodResult = `{"cniVersion":"1.0.0","interfaces":[{"name":"net1","sandbox":"/run/netns/x","mac":"02:00:00:00:00:01"}],"ips":[{"address":"10.0.0.5/24","interface":0}]}`

// fakePlugin does what its name says.
func fakePlugin(name string) int {
	input, _ := io.ReadAll(os.Stdin)
	switch name {
	case "echo": // what it was told, as DNS search words
		told := map[string]any{"cniVersion": "1.0.0", "dns": map[string]any{"search": []string{string(input), strings.Join(os.Environ(), "\n")}}}
		_ = json.NewEncoder(os.Stdout).Encode(told)
	case "slow", "stubborn":
		child := exec.Command("/bin/sleep", "300") // its own child, which keeps the pipes
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
		_ = child.Start()
		fmt.Fprintln(os.Stderr, "waiting for the lease\x1b[31m of child", child.Process.Pid)
		if name == "stubborn" {
			signal.Ignore(syscall.SIGTERM)
		}
		time.Sleep(5 * time.Minute)
	case "crash":
		fmt.Fprintln(os.Stderr, "panic: runtime error")
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		time.Sleep(time.Second)
		return 2
	case "refuse":
		fmt.Print(`{"cniVersion":"1.0.0","code":7,"msg":"no such uplink","details":"eth9"}`)
		return 1
	case "mumble":
		fmt.Print("something went wrong")
		return 3
	case "flood":
		chunk := strings.Repeat("x", 1<<16)
		for range 100 {
			fmt.Print(chunk)
		}
	default:
		fmt.Print(printed[name])
	}
	return 0
}

// printed are results that make no sense.
var printed = map[string]string{
	"good":      goodResult,
	"nothing":   "",
	"text":      "hello",
	"list":      "[]",
	"null":      "null",
	"half":      `{"cniVersion":"1.0.0","ips":[`,
	"version":   strings.Replace(goodResult, `"1.0.0"`, `"0.4.0"`, 1),
	"future":    strings.Replace(goodResult, `"1.0.0"`, `"9.9.9"`, 1),
	"number":    `{"cniVersion":7}`,
	"index":     strings.Replace(goodResult, `"interface":0`, `"interface":3`, 1),
	"minus":     strings.Replace(goodResult, `"interface":0`, `"interface":-1`, 1),
	"address":   strings.Replace(goodResult, "10.0.0.5/24", "10.0.0.500/24", 1),
	"anyone":    strings.Replace(goodResult, "10.0.0.5/24", "0.0.0.0/0", 1),
	"mac":       strings.Replace(goodResult, "02:00:00:00:00:01", "zz", 1),
	"name":      strings.Replace(goodResult, `"net1"`, `"a/b"`, 1),
	"nameless":  strings.Replace(goodResult, `"net1"`, `""`, 1),
	"nulls":     `{"cniVersion":"1.0.0","interfaces":[null],"ips":[null]}`,
	"noversion": strings.Replace(goodResult, `"cniVersion":"1.0.0",`, "", 1),
}

// plugins makes a folder of fake plugins.
func plugins(t testing.TB, patience time.Duration) *Runner {
	t.Helper()
	dir, self := t.TempDir(), must(os.Executable())
	names := append(slices.Collect(maps.Keys(printed)), "echo", "slow", "stubborn", "crash", "refuse", "mumble", "flood")
	for _, name := range names {
		if err := os.Symlink(self, filepath.Join(dir, "tstplug-"+name)); err != nil {
			t.Fatal(err)
		}
	}
	return New(Options{Dirs: []string{dir}, Patience: patience})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func call(name string) Call {
	return Call{Type: "tstplug-" + name, Config: json.RawMessage(`{"type":"tstplug-` + name + `"}`), Name: "lan", Version: "1.0.0", ContainerID: "c1", NetNS: "/run/netns/x", IfName: "net1"}
}

func TestAddTellsThePluginEverything(t *testing.T) {
	r := plugins(t, time.Minute)
	t.Setenv("SECRET", "of the agent")
	c := call("echo")
	c.Config = json.RawMessage(`{"type":"tstplug-echo","own":[1],"capabilities":{"ips":true,"mac":false,"bandwidth":true},"args":{"cni":{"a":"1","b":"2"},"labels":[]}}`)
	c.Asked = Asked{
		Args: [][2]string{{"IgnoreUnknown", "true"}, {"IP", "10.0.0.5"}}, Path: []string{"/opt/x", "relative"},
		Capabilities: map[string]json.RawMessage{"ips": json.RawMessage(`["10.0.0.5"]`), "mac": json.RawMessage(`"02:00:00:00:00:01"`)},
		CNIArgs:      map[string]json.RawMessage{"b": json.RawMessage(`"3"`)}, Keys: map[string]json.RawMessage{"deviceID": json.RawMessage(`"0000:01:00.1"`)},
	}
	var err error
	if c.Prev, err = ReadResult([]byte(goodResult)); err != nil {
		t.Fatal(err)
	}
	result, err := r.Add(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	var told struct {
		CNIVersion, Name, DeviceID string
		Own                        []int
		RuntimeConfig              map[string]any
		Args                       struct{ CNI map[string]string }
		PrevResult                 struct{ CNIVersion string }
	}
	if err := json.Unmarshal([]byte(result.DNS.Search[0]), &told); err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%+v", told)
	want := "{CNIVersion:1.0.0 Name:lan DeviceID:0000:01:00.1 Own:[1] RuntimeConfig:map[ips:[10.0.0.5]] Args:{CNI:map[a:1 b:3]} PrevResult:{CNIVersion:1.0.0}}"
	if got != want {
		t.Errorf("it read  %s\nwant     %s", got, want)
	}
	env := result.DNS.Search[1]
	for _, line := range []string{"CNI_COMMAND=ADD", "CNI_CONTAINERID=c1", "CNI_NETNS=/run/netns/x", "CNI_IFNAME=net1", "CNI_ARGS=IgnoreUnknown=true;IP=10.0.0.5", "CNI_PATH=/opt/x:" + r.Dirs[0], "PATH="} {
		if !strings.Contains(env, line) {
			t.Errorf("its environment has no %s:\n%s", line, env)
		}
	}
	if strings.Contains(env, "SECRET") {
		t.Error("its environment has what is the agent's")
	}
}

func TestAddRefusesNonsense(t *testing.T) {
	r := plugins(t, time.Minute)
	for name, says := range map[string]string{
		"nothing": "printed nothing", "text": "not a JSON object", "list": "not a JSON object", "null": "not a JSON object", "half": "not a JSON object",
		"version": `"0.4.0", asked for was "1.0.0"`, "future": `"9.9.9"`, "number": "must be a string", "index": "belongs to interface 3", "minus": "interface -1",
		"address": "10.0.0.500", "anyone": "cannot be the address", "mac": "not a MAC", "name": "cannot be the name", "nameless": "no name", "nulls": "no name",
	} {
		_, err := r.Add(t.Context(), call(name))
		var bad *Nonsense
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), says) || bad.Fix() == "" {
			t.Errorf("%s: got %v, want nonsense with %q", name, err, says)
		}
	}
	for _, name := range []string{"good", "noversion"} {
		if result, err := r.Add(t.Context(), call(name)); err != nil || len(result.IPs) != 1 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAddTellsWhyAPluginFailed(t *testing.T) {
	r := plugins(t, time.Minute)
	for name, says := range map[string]string{
		"refuse": "no such uplink; eth9 (CNI error 7)", "crash": "ended by a signal (killed); it said: panic: runtime error",
		"mumble": "exit code 3, and what it printed is no CNI error: \"something went wrong\"", "flood": "printed more than 4 MiB",
	} {
		_, err := r.Add(t.Context(), call(name))
		var failed *Failed
		if !errors.As(err, &failed) || !strings.Contains(err.Error(), says) || failed.Reason() != "PluginFailed" {
			t.Errorf("%s: got %v, want %q", name, err, says)
		}
	}
	_, err := r.Add(t.Context(), call("absent"))
	var missing *Missing
	if !errors.As(err, &missing) || !strings.Contains(err.Error(), r.Dirs[0]) {
		t.Errorf("absent: got %v", err)
	}
	if _, err := r.Add(t.Context(), Call{Type: "../etc/passwd"}); !errors.As(err, &missing) {
		t.Errorf("a path as type: got %v", err)
	}
}

// TestLatePluginIsKilledWithItsChildren: also one that does not listen to SIGTERM.
func TestLatePluginIsKilledWithItsChildren(t *testing.T) {
	r := plugins(t, 300*time.Millisecond)
	for _, name := range []string{"slow", "stubborn"} {
		began := time.Now()
		_, err := r.Add(t.Context(), call(name))
		var failed *Failed
		if !errors.As(err, &failed) || failed.Reason() != "PluginTimeout" || !strings.Contains(err.Error(), "not done after 300ms, killed; it said: waiting for the lease [31m of child") {
			t.Errorf("%s: got %v", name, err)
			continue
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s: it took %v", name, took)
		}
		words := strings.Fields(err.Error())
		child, _ := strconv.Atoi(words[len(words)-1])
		if child == 0 || !gone(child) {
			t.Errorf("%s: its child %d lives", name, child)
		}
	}
}

func TestCalledOff(t *testing.T) {
	r := plugins(t, time.Minute)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the sandbox is being deleted")
	time.AfterFunc(200*time.Millisecond, func() { cancel(why) })
	if _, err := r.Add(ctx, call("slow")); !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
}

// TestASlowPluginHoldsUpNobodyElse: all its places are taken, and another one runs.
func TestASlowPluginHoldsUpNobodyElse(t *testing.T) {
	r := plugins(t, 2*time.Second)
	over := make(chan error, mostAtOnce+4)
	for range mostAtOnce + 4 {
		go func() { _, err := r.Add(t.Context(), call("slow")); over <- err }()
	}
	time.Sleep(300 * time.Millisecond)
	began := time.Now()
	if _, err := r.Add(t.Context(), call("good")); err != nil || time.Since(began) > time.Second {
		t.Errorf("another plugin took %v: %v", time.Since(began), err)
	}
	for range mostAtOnce + 4 {
		if err := <-over; err == nil {
			t.Error("a slow plugin succeeded")
		}
	}
}

func TestVerbsOfVersions(t *testing.T) {
	r := plugins(t, time.Minute)
	for _, c := range []struct {
		version          string
		check, status, g bool
	}{{"0.3.1", false, false, false}, {"0.4.0", true, false, false}, {"1.0.0", true, false, false}, {"1.1.0", true, true, true}} {
		one := call("refuse") // an error tells that it was asked
		one.Version = c.version
		if asked := r.Check(t.Context(), one) != nil; asked != c.check {
			t.Errorf("%s: CHECK asked: %v", c.version, asked)
		}
		if asked := r.Status(t.Context(), one) != nil; asked != c.status {
			t.Errorf("%s: STATUS asked: %v", c.version, asked)
		}
		if asked := r.GC(t.Context(), one, nil) != nil; asked != c.g {
			t.Errorf("%s: GC asked: %v", c.version, asked)
		}
	}
}

func TestSpeak(t *testing.T) {
	for _, c := range []struct {
		one  string
		more []string
		want string
	}{{"", nil, "0.3.1"}, {"0.3.0", nil, "0.3.0"}, {"1.0.0", []string{"0.4.0", "1.1.0", "9.0.0"}, "1.1.0"}, {"9.9.9", nil, "9.9.9"}, {"", []string{"0.4.0"}, "0.4.0"}} {
		if got := Speak(c.one, c.more); got != c.want {
			t.Errorf("%q %q: got %s", c.one, c.more, got)
		}
	}
}

func FuzzReadResult(f *testing.F) {
	for _, s := range printed {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, out string) {
		r, err := call("fuzz").readResult([]byte(out))
		if err != nil {
			var bad *Nonsense
			if !errors.As(err, &bad) || bad.Why == "" {
				t.Errorf("%q: %v is no clear refusal", out, err)
			}
			return
		}
		for _, ip := range r.IPs {
			if p, ok := Prefix(ip.Address); !ok || !p.IsValid() {
				t.Errorf("%q: address %v", out, ip.Address)
			}
		}
		again, err := json.Marshal(r)
		if err != nil {
			t.Fatalf("%q: %v", out, err)
		}
		if _, err := ReadResult(again); err != nil {
			t.Errorf("%q: what is kept cannot be read again: %v", out, err)
		}
	})
}

// gone waits for a process to end.
func gone(pid int) bool {
	for range 200 {
		state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(state), ") Z ") {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}
