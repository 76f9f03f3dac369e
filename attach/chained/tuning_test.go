package chained

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tsunagu-net/tsunagu/attach/kind"
)

// allow gives the node a list of sysctls.
func (w *world) allow(text string) {
	w.Helper()
	w.runner.Root = w.dir
	file := filepath.Join(w.dir, allowFile)
	w.must(os.MkdirAll(filepath.Dir(file), 0o755))
	w.must(os.WriteFile(file, []byte(text), 0o644))
}

// TestAllowed sets what the node allows, and refuses when its list cannot be read as one.
func TestAllowed(t *testing.T) {
	spec, err := Parse("tuning", []byte(`{"sysctl":{"net.ipv4.conf.IFNAME.arp_filter":"1"}}`))
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	w.allow("net.core.x\n  ^net.ipv4.conf.IFNAME.[a-z_]*$\n")
	w.add(spec)
	if have := strings.TrimSpace(w.in(w.pod, "cat", "/proc/sys/net/ipv4/conf/net1/arp_filter")); have != "1" {
		t.Errorf("arp_filter is %s", have)
	}
	w.allow("^net.ipv4.(\n")
	if _, _, err := w.runner.Add(context.Background(), w.call, spec); err == nil || !strings.Contains(err.Error(), "line 1 of /etc/cni/tuning/allowlist.conf") {
		t.Errorf("a list that is no list: %v", err)
	}
}

// TestTuningIsChecked changes what tuning set, one after the other.
func TestTuningIsChecked(t *testing.T) {
	spec, err := Parse("tuning", []byte(`{"sysctl":{"net.ipv4.conf.IFNAME.arp_filter":"1"},"mac":"02:00:5e:10:00:01","mtu":1400,"promisc":true,"allmulti":true,"txQLen":500}`))
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	_, state := w.add(spec)
	for what, change := range map[string][]string{
		"sysctl net.ipv4.conf.IFNAME.arp_filter": {"sysctl", "-qw", "net.ipv4.conf.net1.arp_filter=0"},
		"the MAC":                                {"ip", "link", "set", "net1", "address", "02:00:5e:10:00:02"}, "the MTU": {"ip", "link", "set", "net1", "mtu", "1450"},
		"promisc": {"ip", "link", "set", "net1", "promisc", "off"}, "allmulti": {"ip", "link", "set", "net1", "allmulticast", "off"},
		"txQLen": {"ip", "link", "set", "net1", "txqueuelen", "600"},
	} {
		w.must(w.runner.Check(context.Background(), w.call, spec, state))
		w.in(w.pod, change[0], change[1:]...)
		err := w.runner.Check(context.Background(), w.call, spec, state)
		if m, ok := errors.AsType[kind.Mismatch](err); !ok || m.What != what {
			t.Errorf("after %v: %v", change, err)
		}
		w.add(spec)
	}
}

func FuzzParse(f *testing.F) {
	for _, r := range compatRows() {
		f.Add(r.Plugin, r.Config)
	}
	f.Fuzz(func(t *testing.T, typ, config string) {
		spec, err := Parse(typ, []byte(config))
		if err == nil {
			if spec.Type() != typ {
				t.Errorf("%s is read as %s", typ, spec.Type())
			}
			if tuning, ok := spec.(Tuning); ok {
				for key := range tuning.Sysctls {
					if path, ok := sysctlPath(key, "net1"); !ok || strings.Contains(path, "..") {
						t.Errorf("sysctl %q is %q", key, path)
					}
				}
			}
			return
		}
		_, elsewhere := errors.AsType[Elsewhere](err)
		if refusal, ok := errors.AsType[kind.Refusal](err); !elsewhere && (!ok || refusal.Fix() == "") {
			t.Errorf("%v is no refusal", err)
		}
	})
}
